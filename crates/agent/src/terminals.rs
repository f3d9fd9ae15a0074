//! What the core's thread does for containers whose far ends we hold: it expects them with a launch, and takes those of
//! containers of an earlier life back from the warden.

use std::path::Path;

use mezz_agent_core::{LaunchId, Role};
use mezz_launch_plan::{Credentials, LaunchPlan};
use mezz_warden::Request;

use crate::container_io::Expected;
use crate::driver::Driver;

impl Driver {
    /// The warden will hand over what it holds for this launch.
    pub(crate) fn expect_far_ends(&self, plan: &LaunchPlan, role: Role, sandbox: &Path) {
        let launch_id = LaunchId(plan.launch_id.0);
        let expected = match (role, plan.terminal) {
            (Role::Main, Some(_)) => self.logged_terminal(sandbox, plan.user.as_ref()),
            (Role::Session, Some(_)) => Expected::Terminal { log: None },
            (Role::Session, None) => Expected::Pipes,
            (Role::Main, None) | (Role::Probe, _) => return,
        };
        self.container_io.expect(launch_id, expected);
    }

    /// What a container's terminal shows goes into its sandbox too.
    fn logged_terminal(&self, sandbox: &Path, owner: Option<&Credentials>) -> Expected {
        let log = self.launcher.output_file(sandbox, owner);
        if let Err(error) = &log {
            let sandbox = sandbox.display();
            tracing::error!(%sandbox, %error, "the output of a terminal cannot be kept");
        }
        Expected::Terminal { log: log.ok() }
    }

    /// Terminals of containers of an earlier life.
    pub(crate) fn take_up_terminals(&mut self) {
        let records = self.core.records();
        let executors = records
            .frameworks
            .iter()
            .flat_map(|framework| &framework.executors)
            .filter(|executor| executor.pid.is_some())
            .map(|executor| (executor.launch_id, executor.container(), &executor.sandbox));
        let others = records
            .containers
            .iter()
            .filter(|container| container.pid.is_some())
            .map(|container| {
                let wanted = container.wanted.container.clone();
                (container.launch_id, wanted, &container.sandbox)
            });
        for (launch_id, container, sandbox) in executors.chain(others) {
            if container.is_none_or(|container| container.tty_info.is_none()) {
                continue;
            }
            let sandbox = self.launcher.sandbox(sandbox);
            let expected = self.logged_terminal(&sandbox, None);
            self.container_io.expect(launch_id, expected);
            self.state.requests.push(Request::Reattach {
                launch_id: mezz_launch_plan::LaunchId(launch_id.0),
            });
        }
    }
}
