//! The resources that a program brings which embeds the server.

use std::fmt;
use std::sync::Arc;

use super::{Embedded, Resource, ResourceHooks};

type Make = Arc<dyn Fn() -> Box<dyn ResourceHooks> + Send + Sync>;

/// Paths and how to make what serves them: every worker makes its own.
#[derive(Clone, Default)]
pub struct ResourceFactories(Vec<(Box<str>, Make)>);

impl ResourceFactories {
    /// Serves a path, compared to the letter, by what `make` makes.
    pub fn add<R: Resource + 'static>(
        &mut self,
        path: &str,
        make: impl Fn() -> R + Send + Sync + 'static,
    ) {
        self.add_hooks(path, move || Embedded(make()));
    }

    /// The same for a resource with all the hooks.
    pub fn add_hooks<R: ResourceHooks + 'static>(
        &mut self,
        path: &str,
        make: impl Fn() -> R + Send + Sync + 'static,
    ) {
        self.0.push((path.into(), Arc::new(move || Box::new(make()))));
    }

    /// The paths, in the order in which they were added.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(path, _)| path.as_ref())
    }

    /// Makes one of each.
    pub fn make(&self) -> impl Iterator<Item = Box<dyn ResourceHooks>> {
        self.0.iter().map(|(_, make)| make())
    }
}

impl fmt::Debug for ResourceFactories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(path, _)| path)).finish()
    }
}
