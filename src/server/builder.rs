//! A server with resources of your own.

use super::InProcess;
use crate::config::Config;
use crate::resource::{Resource, ResourceFactories, ResourceHooks};
use crate::supervisor::StartError;

/// A server with resources of your own, in the same processes as everything else. `run`, which
/// belongs to the command line, makes a whole `tagcast` of your program: its commands, its
/// configuration, its supervisor, broker and workers.
///
/// ```no_run
/// use tagcast::{Builder, ClientHandle, Message, Resource};
///
/// #[derive(Default)]
/// struct Greeter;
///
/// impl Resource for Greeter {
///     fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
///         client.reply_text(format!("hello, {}", message.text().unwrap_or("stranger")));
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     Builder::new().resource("/greet", Greeter::default).run()
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    resources: ResourceFactories,
}

impl Builder {
    /// A server without resources of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves a path, compared to the letter, by what `make` makes; every worker makes its own. A
    /// `[resource /path]` of the configuration wins over it.
    #[must_use]
    pub fn resource<R: Resource + 'static>(
        mut self,
        path: &str,
        make: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self {
        self.resources.add(path, make);
        self
    }

    /// The same for a resource with all the hooks, which are not part of the public API.
    #[doc(hidden)]
    #[must_use]
    pub fn resource_with_hooks<R: ResourceHooks + 'static>(
        mut self,
        path: &str,
        make: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self {
        self.resources.add_hooks(path, make);
        self
    }

    /// Starts everything as threads of this process: see [`InProcess`].
    ///
    /// # Errors
    ///
    /// As with [`InProcess::start`].
    pub fn start_in_process(self, config: Config) -> Result<InProcess, StartError> {
        InProcess::start_with(config, self.resources)
    }

    /// The resources.
    pub(crate) const fn resources(&self) -> &ResourceFactories {
        &self.resources
    }
}
