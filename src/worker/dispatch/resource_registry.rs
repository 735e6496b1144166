//! Resources of a worker, and the paths and names that they serve.

use std::fmt;
use std::time::Duration;

use tracing::error;

use crate::auth::Application;
use crate::config::{BackendBinding, Config, ResourceBinding};
use crate::http::HostAllowlist;
use crate::resource::bloatless::{BloatlessApplication, BloatlessApplications, BloatlessOptions};
use crate::resource::{
    Binding, Broadcast, BuiltinKind, Echo, Effects, Gomoob, Nameless, Phpws, ResourceFactories,
    ResourceHooks, ResourceId, ResourceKind, Routes, Silent, V1Requests, WebhookOptions,
    WebhookResource,
};
use crate::types::Tenant;
use crate::webhook::Signing;
use crate::webhook::client::TargetSettings;

/// Resources of a worker: first the built-in ones in the order of `BuiltinKind::ALL`, then those of
/// the embedding program, then those of the configuration.
pub(in crate::worker) struct ResourceRegistry {
    all: Vec<Box<dyn ResourceHooks>>,
    own: ResourceFactories,
    /// Bindings of the resources that the configuration created. A reload keeps a resource, with
    /// its state, if its binding is unchanged.
    made: Vec<MadeResource>,
    bloatless: BloatlessApplications,
    /// Routes to backends since the last binding.
    routes: Vec<BackendRoute>,
    /// Allocated list for the effects of the next call.
    effects: Effects,
}

/// Largest capacity of an effect list that is kept for the next call.
const EFFECTS_KEPT: usize = 64;

/// Resource that the configuration created.
#[derive(Debug)]
struct MadeResource {
    binding: ResourceBinding,
    id: ResourceId,
}

/// Route from a resource to its backend.
#[derive(Debug)]
pub(in crate::worker) struct BackendRoute {
    pub(in crate::worker) resource: ResourceId,
    pub(in crate::worker) settings: TargetSettings,
    pub(in crate::worker) signing: Signing,
}

impl ResourceRegistry {
    pub(in crate::worker) fn new(own: &ResourceFactories) -> Self {
        let built_in: [Box<dyn ResourceHooks>; 6] = [
            Box::new(Phpws),
            Box::new(Gomoob),
            Box::new(Echo),
            Box::new(Silent),
            Box::new(Nameless),
            Box::new(V1Requests),
        ];
        let all = built_in.into_iter().chain(own.make()).collect();
        let bloatless = BloatlessApplications::default();
        Self {
            all,
            own: own.clone(),
            made: Vec::new(),
            bloatless,
            routes: Vec::new(),
            effects: Effects::new(),
        }
    }

    /// Returns an empty list for the effects of a call.
    pub(in crate::worker) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// Keeps an emptied list for the next call.
    pub(in crate::worker) fn keep_effects(&mut self, effects: Effects) {
        if effects.capacity() <= EFFECTS_KEPT {
            self.effects = effects;
        }
    }

    pub(in crate::worker) fn get(&self, id: ResourceId) -> Option<&dyn ResourceHooks> {
        self.all.get(id.place()).map(AsRef::as_ref)
    }

    pub(in crate::worker) fn get_mut(
        &mut self,
        id: ResourceId,
    ) -> Option<&mut Box<dyn ResourceHooks>> {
        self.all.get_mut(id.place())
    }

    /// Binds the names of `[echo]`, then the embedding program's paths, then the
    /// bloatless/php-websocket applications, then the configured resources. Later bindings replace
    /// earlier ones. Existing connections keep a resource that the configuration no longer binds.
    pub(in crate::worker) fn bind(&mut self, config: &Config, paths: &mut Routes) {
        for name in &config.echo.applications {
            let is_silent = config.echo.bar_silent && name == "Bar";
            let kind = if is_silent { BuiltinKind::Silent } else { BuiltinKind::Echo };
            paths.bind(name, Binding::Kind(kind));
        }
        for (place, path) in self.own.paths().enumerate() {
            paths.bind(path, Binding::Beyond(ResourceId::beyond(place)));
        }
        self.bloatless.set_options(bloatless_options(config));
        for application in &config.bloatless.applications {
            match self.application(*application) {
                Some(id) => paths.bind(application.path(), Binding::Beyond(id)),
                None => error!(
                    event = "application_create_failed",
                    ?application,
                    "failed to create application"
                ),
            }
        }
        for binding in &config.resources {
            match self.binding(binding) {
                Some(bound) => paths.bind(&binding.name, bound),
                None => error!(
                    event = "resource_create_failed",
                    name = binding.name,
                    "failed to create resource"
                ),
            }
        }
        self.routes = self.made.iter().filter_map(|made| route(made, config)).collect();
    }

    /// Removes and returns the routes to backends with their current secrets, once after each
    /// binding.
    pub(in crate::worker) fn take_routes(&mut self) -> Vec<BackendRoute> {
        std::mem::take(&mut self.routes)
    }

    /// Returns the bound resources that have ticks, and their intervals.
    pub(in crate::worker) fn ticking(&self, config: &Config) -> Vec<(ResourceId, Duration)> {
        let own = (0..self.own.paths().count()).map(ResourceId::beyond);
        let is_bound = |made: &&MadeResource| {
            config.resources.iter().any(|binding| is_same(binding, &made.binding))
        };
        let made = self.made.iter().filter(is_bound).map(|made| made.id);
        let made = made.chain(self.applications(config));
        let every = |id| Some((id, self.get(id)?.tick_interval()?));
        own.chain(made).filter_map(every).collect()
    }

    fn binding(&mut self, binding: &ResourceBinding) -> Option<Binding> {
        Some(match binding.kind {
            ResourceKind::BuiltIn(kind) => Binding::Kind(kind),
            ResourceKind::Broadcast | ResourceKind::Http => {
                Binding::Beyond(self.made_from(binding)?)
            }
        })
    }

    /// Returns the application with this name if it is bound.
    pub(in crate::worker) fn application_named(
        &self,
        name: &str,
        bound: &[BloatlessApplication],
    ) -> Option<ResourceId> {
        let is_it = |one: &&BloatlessApplication| one.path().strip_prefix('/') == Some(name);
        self.bloatless.get(*bound.iter().find(is_it)?)
    }

    fn application(&mut self, application: BloatlessApplication) -> Option<ResourceId> {
        if let Some(id) = self.bloatless.get(application) {
            return Some(id);
        }
        let made = self.bloatless.make(application)?;
        let id = self.add(made);
        self.bloatless.add(application, id);
        Some(id)
    }

    fn applications(&self, config: &Config) -> impl Iterator<Item = ResourceId> {
        let bound = config.bloatless.applications.iter();
        bound.filter_map(|application| self.bloatless.get(*application))
    }

    fn add(&mut self, resource: Box<dyn ResourceHooks>) -> ResourceId {
        self.all.push(resource);
        ResourceId::beyond(self.all.len() - 1 - BuiltinKind::ALL.len())
    }

    fn made_from(&mut self, binding: &ResourceBinding) -> Option<ResourceId> {
        if let Some(known) = self.made.iter().find(|made| is_same(&made.binding, binding)) {
            return Some(known.id);
        }
        let id = self.add(make(binding)?);
        self.made.push(MadeResource { binding: binding.clone(), id });
        Some(id)
    }
}

fn bloatless_options(config: &Config) -> BloatlessOptions {
    let settings = &config.bloatless;
    BloatlessOptions {
        has_status: settings.applications.contains(&BloatlessApplication::Status),
        clients: settings.status,
        max_clients: config.admission.max_clients,
        max_per_ip: config.admission.max_per_ip,
        requests_per_minute: settings.max_requests_per_minute,
        origins: settings.origins.as_ref().map(|hosts| HostAllowlist::new(hosts)),
        answers: settings.close.answers,
    }
}

/// Creates a resource of the configuration.
fn make(binding: &ResourceBinding) -> Option<Box<dyn ResourceHooks>> {
    match binding.kind {
        // The configuration has checked the length of the name.
        ResourceKind::Broadcast => Some(Box::new(Broadcast::new(&binding.name).ok()?)),
        ResourceKind::Http => {
            let backend = binding.backend.as_ref()?;
            Some(Box::new(WebhookResource::new(terms(&binding.name, backend)).ok()?))
        }
        ResourceKind::BuiltIn(_) => None,
    }
}

/// Returns true if a resource made from one binding can serve the other. The secret may differ,
/// because it only signs the events.
fn is_same(made: &ResourceBinding, binding: &ResourceBinding) -> bool {
    let (Some(one), Some(other)) = (&made.backend, &binding.backend) else {
        return made == binding;
    };
    let one = BackendBinding { secret: other.secret.clone(), ..(**one).clone() };
    made.name == binding.name && one == **other
}

fn terms(name: &str, backend: &BackendBinding) -> WebhookOptions {
    let tenant = backend.tenant.as_deref().map(|name| Tenant(name.into()));
    WebhookOptions {
        name: name.to_owned(),
        tenant: tenant.unwrap_or_else(Tenant::shared),
        events: backend.events.clone(),
        every: backend.every,
        when_down: backend.when_down.clone(),
        open_when_down: backend.open_when_down,
    }
}

/// Returns the route to the backend of a resource. The resource may be unbound and still have
/// clients. The route uses the current secret of its application, or the last known one if the
/// application was removed.
fn route(made: &MadeResource, config: &Config) -> Option<BackendRoute> {
    let backend = made.binding.backend.as_ref()?;
    let applications = config.applications.iter().flat_map(|all| &all.list);
    let known = applications.into_iter().find(|it| it.key == backend.application);
    let known = known.and_then(Application::signing_secret).filter(|secret| secret.is_text());
    let secret = known.unwrap_or(&backend.secret);
    let settings = TargetSettings {
        resource: made.binding.name.clone(),
        url: backend.url.expose().to_owned(),
        ca: backend.ca.clone(),
        deadline: backend.deadline,
        concurrent_max: backend.max_concurrent,
        answer_bytes_max: config.limits.max_message,
    };
    Some(BackendRoute { resource: made.id, settings, signing: Signing::new(secret.expose()) })
}

impl fmt::Debug for ResourceRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} resources", self.all.len())
    }
}
