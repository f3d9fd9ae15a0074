//! Every word of the protocol survives its encoding, and damaged words are refused.
#![allow(clippy::unwrap_used)]

use mezz_launch_plan::{CommandSpec, ContainerSpec, HostFacts, KillMethod, LaunchId, plan};
use mezz_warden::frames::{decode_reply, decode_request, encode_reply, encode_request};
use mezz_warden::{
    Exit, ExitStatus, LaunchPhase, LaunchState, LaunchStep, Reply, Request, RequestKind,
    ShutdownLaunches, SignalScope, Usage,
};

const ID: LaunchId = LaunchId(0x0123_4567_89ab_cdef);

fn requests() -> Vec<Request> {
    let spec = ContainerSpec::new(ID, CommandSpec::Shell("true".into()), "/sandbox");
    vec![
        Request::Hello {
            version: 1,
            generation: u64::MAX,
        },
        Request::Launch(Box::new(plan(&spec, &HostFacts::bare("a", 0)).unwrap())),
        Request::Signal {
            launch_id: ID,
            signal: 15,
            scope: SignalScope::Process,
        },
        Request::Signal {
            launch_id: ID,
            signal: -1,
            scope: SignalScope::Tree,
        },
        Request::KillTree { launch_id: ID },
        Request::KillStray {
            launch_id: ID,
            kill: KillMethod::FreezerV1 {
                path: c"/f".to_owned(),
            },
            marker: c"M=1".to_owned(),
        },
        Request::Acknowledge { launch_id: ID },
        Request::List,
        Request::Usage { launch_id: ID },
        Request::CloseInput { launch_id: ID },
        Request::Reattach { launch_id: ID },
        Request::Reexec {
            path: "/usr/bin/mezz".into(),
        },
        Request::Shutdown {
            launches: ShutdownLaunches::Kill,
        },
        Request::Shutdown {
            launches: ShutdownLaunches::Leave,
        },
    ]
}

fn replies() -> Vec<Reply> {
    let exit = |status| Exit {
        launch_id: ID,
        pid: 1,
        status,
        user_us: 2,
        system_us: 3,
        max_rss_kib: 4,
        at_us: 5,
    };
    let state = |phase| LaunchState {
        launch_id: ID,
        pid: 7,
        start_ticks: 8,
        phase,
    };
    let message = "why: ä".to_owned();
    vec![
        Reply::Welcome {
            version: 1,
            plan_version: 2,
            warden_pid: 3,
            launches: 4,
        },
        Reply::Superseded { generation: 9 },
        Reply::Started {
            launch_id: ID,
            pid: 1,
            start_ticks: 2,
            descriptors: 3,
        },
        Reply::LaunchFailed {
            launch_id: ID,
            step: LaunchStep::User,
            errno: 1,
            message: message.clone(),
        },
        Reply::Exited(exit(ExitStatus::Exited(255))),
        Reply::Exited(exit(ExitStatus::Signaled {
            signal: 11,
            core_dumped: true,
        })),
        Reply::TreeGone { launch_id: ID },
        Reply::Listing {
            launches: vec![
                state(LaunchPhase::Launching),
                state(LaunchPhase::Running),
                state(LaunchPhase::Exited(exit(ExitStatus::Exited(0)))),
            ],
        },
        Reply::Usage {
            launch_id: ID,
            usage: Usage {
                user_us: 1,
                system_us: 2,
                rss_bytes: 3,
                processes: 4,
            },
        },
        Reply::Refused {
            launch_id: ID,
            request: RequestKind::Reattach,
            errno: 3,
            message: message.clone(),
        },
        Reply::ReexecFailed { message },
    ]
}

#[test]
fn every_request_and_reply_survives_its_encoding() {
    for request in requests() {
        let mut bytes = Vec::new();
        encode_request(&request, &mut bytes);
        assert_eq!(decode_request(&bytes[4..]), Ok(request));
    }
    for reply in replies() {
        let mut bytes = Vec::new();
        encode_reply(&reply, &mut bytes);
        assert_eq!(decode_reply(&bytes[4..]), Ok(reply));
    }
}

#[test]
fn words_that_are_cut_or_too_long_are_refused() {
    let mut frames = Vec::new();
    for request in requests() {
        let mut bytes = Vec::new();
        encode_request(&request, &mut bytes);
        frames.push(bytes);
    }
    for bytes in &mut frames {
        for end in 4..bytes.len() {
            assert!(decode_request(&bytes[4..end]).is_err());
        }
        bytes.push(0);
        assert!(decode_request(&bytes[4..]).is_err());
    }
    for reply in replies() {
        let mut bytes = Vec::new();
        encode_reply(&reply, &mut bytes);
        for end in 4..bytes.len() {
            assert!(decode_reply(&bytes[4..end]).is_err());
        }
    }
    assert_eq!(
        decode_request(&[99]).unwrap_err().to_string(),
        "request: unknown value 99"
    );
}
