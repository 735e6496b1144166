//! The applications of a worker.

use std::cell::RefCell;
use std::rc::Rc;

use super::chat::ChatApp;
use super::demo::DemoApp;
use super::echo::EchoApp;
use super::status::StatusApp;
use super::time::TimeApp;
use super::{BloatlessApplication, BloatlessOptions, BloatlessResource};
use crate::resource::{ResourceHooks, ResourceId};

/// Applications that were ever bound, and their shared options.
#[derive(Debug, Default)]
pub struct BloatlessApplications {
    options: Rc<RefCell<BloatlessOptions>>,
    made: Vec<(BloatlessApplication, ResourceId)>,
}

impl BloatlessApplications {
    /// Replaces the options, also for open connections.
    pub fn set_options(&self, options: BloatlessOptions) {
        self.options.replace(options);
    }

    /// Returns the resource of an application that exists.
    #[must_use]
    pub fn get(&self, application: BloatlessApplication) -> Option<ResourceId> {
        self.made.iter().find(|(known, _)| *known == application).map(|(_, id)| *id)
    }

    /// Records the resource of an application.
    pub fn add(&mut self, application: BloatlessApplication, id: ResourceId) {
        self.made.push((application, id));
    }

    /// Creates the resource of an application.
    #[must_use]
    pub fn make(&self, application: BloatlessApplication) -> Option<Box<dyn ResourceHooks>> {
        let options = &self.options;
        let made = match application {
            BloatlessApplication::Chat => BloatlessResource::new(ChatApp, options),
            BloatlessApplication::Status => BloatlessResource::new(StatusApp, options),
            BloatlessApplication::Demo => BloatlessResource::new(DemoApp, options),
            BloatlessApplication::Echo => BloatlessResource::new(EchoApp, options),
            BloatlessApplication::Time => BloatlessResource::new(TimeApp, options),
        };
        Some(Box::new(made.ok()?))
    }
}
