//! Which runtime has a container, if any is needed.

use std::sync::Arc;

use mezz_agent_core::{ContainerClass, ContainerId, Launch, LaunchId, Surroundings};
use mezz_proto::v1::container_info;

use super::{Preparer, Runtime};

/// What a launch needs.
#[derive(Debug)]
pub(crate) enum Need {
    /// Nothing: it goes to the warden at once.
    Nothing,
    /// To be prepared.
    Prepared(Way),
    /// Something that nobody here has; the text says what.
    Unknown(String),
}

/// Who prepares a launch, and as what.
#[derive(Debug)]
pub(crate) struct Way {
    pub(super) runtime: Arc<dyn Runtime>,
    /// The container that it is to run in, if it looks after another.
    pub(super) within: Option<ContainerId>,
}

impl Preparer {
    /// What a launch needs before it can go to the warden.
    pub(crate) fn need(&self, launch: &Launch) -> Need {
        let surroundings = &launch.surroundings;
        let looked_into = surroundings.within.or_else(|| looked_into(surroundings));
        if let Some(held) = looked_into.and_then(|launch| self.held.get(&launch)) {
            return Need::Prepared(Way {
                runtime: Arc::clone(&held.runtime),
                within: Some(held.container),
            });
        }
        let plain = surroundings.container.is_none() && surroundings.runtime.is_none();
        if plain || surroundings.within.is_some() {
            return Need::Nothing;
        }
        match self.taker(surroundings) {
            Some(runtime) => Need::Prepared(Way {
                runtime,
                within: None,
            }),
            None => unknown(surroundings).map_or(Need::Nothing, |what| {
                let names: Vec<_> = self.runtimes.iter().map(|runtime| runtime.name()).collect();
                let names = names.join(", ");
                Need::Unknown(format!(
                    "None of the enabled containerizers ({names}) could create a container for this task: {what}"
                ))
            }),
        }
    }

    pub(super) fn taker(&self, surroundings: &Surroundings) -> Option<Arc<dyn Runtime>> {
        let mut runtimes = self.runtimes.iter();
        runtimes
            .find(|runtime| runtime.takes(surroundings))
            .cloned()
    }
}

/// The launch of the container that a session is in.
fn looked_into(surroundings: &Surroundings) -> Option<LaunchId> {
    let nesting = surroundings.nesting.as_ref()?;
    let around = nesting.around.last()?;
    (nesting.class == ContainerClass::Session).then_some(around.launch)
}

/// What of a container must not be passed over when no runtime takes it.
fn unknown(surroundings: &Surroundings) -> Option<String> {
    if let Some(runtime) = &surroundings.runtime {
        return Some(format!("it has no runtime named '{runtime}'"));
    }
    let container = surroundings.container.as_deref()?;
    if container.r#type() == container_info::Type::Docker || container.docker.is_some() {
        return Some("container.docker needs a Docker Engine".to_owned());
    }
    if container
        .mesos
        .as_ref()
        .is_some_and(|mesos| mesos.image.is_some())
    {
        return Some("container.mesos.image needs --image-providers".to_owned());
    }
    let mut networks = container.network_infos.iter();
    let name = networks.find_map(|network| network.name.as_deref())?;
    Some(format!(
        "container.network_infos: the network '{name}' needs --network-cni-config-dir"
    ))
}
