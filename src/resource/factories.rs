//! Factories for the resources of an embedding program.

use std::fmt;
use std::sync::Arc;

use super::{Embedded, Resource, ResourceHooks};

type Make = Arc<dyn Fn() -> Box<dyn ResourceHooks> + Send + Sync>;

/// Paths and factories of their resources. Each worker creates its own resources.
#[derive(Clone, Default)]
pub struct ResourceFactories(Vec<(Box<str>, Make)>);

impl ResourceFactories {
    /// Serves a path by the resources that `make` creates. Paths are compared byte for byte.
    pub fn add<R: Resource + 'static>(
        &mut self,
        path: &str,
        make: impl Fn() -> R + Send + Sync + 'static,
    ) {
        self.add_hooks(path, move || Embedded(make()));
    }

    /// Serves a path by resources that implement all hooks.
    pub fn add_hooks<R: ResourceHooks + 'static>(
        &mut self,
        path: &str,
        make: impl Fn() -> R + Send + Sync + 'static,
    ) {
        self.0.push((path.into(), Arc::new(move || Box::new(make()))));
    }

    /// Returns the paths in the order of the calls of [`Self::add`].
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(path, _)| path.as_ref())
    }

    /// Creates one resource per path.
    pub fn make(&self) -> impl Iterator<Item = Box<dyn ResourceHooks>> {
        self.0.iter().map(|(_, make)| make())
    }
}

impl fmt::Debug for ResourceFactories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(path, _)| path)).finish()
    }
}
