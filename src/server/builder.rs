//! Builder for a server with custom resources.

use super::InProcess;
use crate::config::Config;
use crate::resource::{Resource, ResourceFactories, ResourceHooks};
use crate::supervisor::StartError;

/// Builder for a server with custom resources, which run in the same processes as the built-in
/// ones. `run`, which handles the command line, makes your program a complete `tagcast` with its
/// commands, configuration, supervisor, broker and workers.
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
    /// Creates a builder without custom resources.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a path to a resource. The path must match exactly. Every worker calls `make` for its
    /// own instances. A `[resource /path]` in the configuration takes precedence.
    #[must_use]
    pub fn resource<R: Resource + 'static>(
        mut self,
        path: &str,
        make: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self {
        self.resources.add(path, make);
        self
    }

    /// Like [`Builder::resource`], for a resource with all hooks, which are not part of the public
    /// API.
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

    /// Starts the server as threads of this process: see [`InProcess`].
    ///
    /// # Errors
    ///
    /// The same as [`InProcess::start`].
    pub fn start_in_process(self, config: Config) -> Result<InProcess, StartError> {
        InProcess::start_with(config, self.resources)
    }

    /// Returns the custom resources.
    pub(crate) const fn resources(&self) -> &ResourceFactories {
        &self.resources
    }
}
