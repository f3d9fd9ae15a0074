//! What a task was given, in the words of the Engine's client.

use mezz_agent_core::{Allotment, Limit};
use mezz_docker::{Bound, Needs};
use mezz_resource::Scalar;

/// Of what the agent's core says.
pub(super) fn of(allotment: &Allotment, environment: &[(String, String)]) -> Needs {
    let thousandths = |scalar: Scalar| u64::try_from(scalar.0).unwrap_or(0);
    let given = |scalar: Scalar| (scalar != Scalar::ZERO).then(|| thousandths(scalar));
    let bound = |limit: Limit| match limit {
        Limit::At(scalar) => Bound::At(thousandths(scalar)),
        Limit::Infinite => Bound::Infinite,
    };
    let mut variables = environment.iter();
    let role = variables.find(|(name, _)| name == "MESOS_ALLOCATION_ROLE");
    let ports = allotment.ports.iter();
    Needs {
        cpus: given(allotment.cpus),
        mem: given(allotment.mem),
        ports: ports.map(|range| (range.begin, range.end)).collect(),
        cpus_limit: allotment.cpus_limit.map(bound),
        mem_limit: allotment.mem_limit.map(bound),
        role: role.map(|(_, role)| role.clone()),
    }
}
