//! The checks that tasks of the simulation come with.

use mezz_proto::v1::{self, check_info, health_check};

use crate::world::World;

impl World {
    /// A task that may have a health check, a check, a grace of its own and a longest time to run.
    pub(crate) fn with_checks(&mut self, task: v1::TaskInfo) -> v1::TaskInfo {
        let mut task = task;
        if self.rng.chance(250) {
            task.health_check = Some(Box::new(self.health_check()));
        }
        if self.rng.chance(200) {
            task.check = Some(Box::new(self.check()));
        }
        if self.rng.chance(100) {
            task.max_completion_time = Some(nanoseconds(1 + self.rng.below(40)));
        }
        if self.rng.chance(150) {
            task.kill_policy = Some(v1::KillPolicy {
                grace_period: Some(nanoseconds(self.rng.below(20))),
            });
        }
        task
    }

    fn health_check(&mut self) -> v1::HealthCheck {
        use health_check::Type;
        let kind = [Type::Command, Type::Http, Type::Tcp][self.rng.index(3)];
        v1::HealthCheck {
            delay_seconds: Some(self.rng.below(5) as f64),
            interval_seconds: Some(1.0 + self.rng.below(10) as f64),
            timeout_seconds: Some(0.5 + self.rng.below(6) as f64),
            consecutive_failures: Some([0, 1, 2, 3][self.rng.index(4)]),
            grace_period_seconds: Some(self.rng.below(15) as f64),
            r#type: Some(kind as i32),
            command: (kind == Type::Command).then(probe_command),
            http: (kind == Type::Http).then(|| health_check::HttpCheckInfo {
                port: 31_000,
                ..health_check::HttpCheckInfo::default()
            }),
            tcp: (kind == Type::Tcp).then(|| health_check::TcpCheckInfo {
                port: 31_000,
                ..health_check::TcpCheckInfo::default()
            }),
        }
    }

    fn check(&mut self) -> v1::CheckInfo {
        use check_info::Type;
        let kind = [Type::Command, Type::Http, Type::Tcp][self.rng.index(3)];
        v1::CheckInfo {
            r#type: Some(kind as i32),
            command: (kind == Type::Command).then(|| check_info::Command {
                command: probe_command(),
            }),
            http: (kind == Type::Http).then(|| check_info::Http {
                port: 31_000,
                ..check_info::Http::default()
            }),
            tcp: (kind == Type::Tcp).then_some(check_info::Tcp { port: 31_000 }),
            delay_seconds: Some(self.rng.below(5) as f64),
            interval_seconds: Some(1.0 + self.rng.below(10) as f64),
            timeout_seconds: Some(0.5 + self.rng.below(6) as f64),
        }
    }
}

fn probe_command() -> v1::CommandInfo {
    v1::CommandInfo {
        value: Some("look".into()),
        ..v1::CommandInfo::default()
    }
}

fn nanoseconds(seconds: u64) -> v1::DurationInfo {
    v1::DurationInfo {
        nanoseconds: i64::try_from(seconds * crate::network::SECOND).expect("some seconds"),
    }
}
