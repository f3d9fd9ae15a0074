//! Offers as frameworks receive them, written straight into bytes: most of what a master sends where nothing fits anybody
//! are offers. Knows shapes, decides nothing.

use std::borrow::Cow;

use bytes::Bytes;
use mezz_proto::{fields, v1};
use mezz_resource::{ReservationForm, Resources};
use v1::framework_info::capability::Type as Capability;

use crate::framework_info;
use crate::records::{AgentRecord, FrameworkRecord};

/// Numbers of the fields of `mesos.v1.Offer`.
mod offer {
    pub(super) const ID: u32 = 1;
    pub(super) const FRAMEWORK_ID: u32 = 2;
    pub(super) const AGENT_ID: u32 = 3;
    pub(super) const HOSTNAME: u32 = 4;
    pub(super) const RESOURCES: u32 = 5;
    pub(super) const EXECUTOR_IDS: u32 = 6;
    pub(super) const ATTRIBUTES: u32 = 7;
    pub(super) const URL: u32 = 8;
    pub(super) const ALLOCATION_INFO: u32 = 10;
    pub(super) const DOMAIN: u32 = 11;
}

/// Of `mesos.v1.URL` and the `mesos.v1.Address` in it.
mod url {
    pub(super) const SCHEME: u32 = 1;
    pub(super) const ADDRESS: u32 = 2;
    pub(super) const PATH: u32 = 3;
    pub(super) const HOSTNAME: u32 = 1;
    pub(super) const IP: u32 = 2;
    pub(super) const PORT: u32 = 3;
}

/// Of `mesos.v1.scheduler.Event` and the offers in it.
mod event {
    pub(super) const TYPE: u32 = 1;
    pub(super) const OFFERS: u32 = 3;
    pub(super) const OFFER: u32 = 1;
}

/// The offers of one event.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    fields: Vec<u8>,
}

/// One offer.
pub(crate) struct Offer<'a> {
    pub(crate) id: &'a str,
    pub(crate) framework: &'a FrameworkRecord,
    pub(crate) agent: &'a AgentRecord,
    pub(crate) role: &'a str,
    pub(crate) resources: &'a Resources,
}

impl Offers {
    /// Appends an offer as this framework's capabilities let it be seen.
    pub(crate) fn add<'a>(&mut self, new: &Offer<'_>, executors: impl Iterator<Item = &'a str>) {
        // More than what most take, so that the list seldom moves.
        const USUAL: usize = 512;
        self.fields.reserve(USUAL);
        fields::nested(event::OFFER, &mut self.fields, |out| {
            let multi_role = has(new.framework, Capability::MultiRole);
            let seen = if multi_role {
                Cow::Borrowed(new.resources)
            } else {
                Cow::Owned(new.resources.unallocated())
            };
            let form = if has(new.framework, Capability::ReservationRefinement) {
                ReservationForm::Stack
            } else {
                ReservationForm::Role
            };
            fields::wrapped(offer::ID, new.id, out);
            fields::wrapped(offer::FRAMEWORK_ID, &new.framework.id, out);
            fields::wrapped(offer::AGENT_ID, &new.agent.id, out);
            fields::text(offer::HOSTNAME, &new.agent.info.hostname, out);
            seen.encode_fields(offer::RESOURCES, form, out);
            executors.for_each(|id| fields::wrapped(offer::EXECUTOR_IDS, id, out));
            for attribute in &new.agent.info.attributes {
                fields::message(offer::ATTRIBUTES, attribute, out);
            }
            fields::nested(offer::URL, out, |out| encode_url(new.agent, out));
            if multi_role {
                fields::wrapped(offer::ALLOCATION_INFO, new.role, out);
            }
            if let Some(domain) = &new.agent.info.domain {
                fields::message(offer::DOMAIN, domain, out);
            }
        });
    }

    /// The encoded [`v1::scheduler::Event`].
    pub(crate) fn event(&self) -> Bytes {
        /// Two keys, the type and a length.
        const HEAD: usize = 16;
        let mut out = Vec::with_capacity(HEAD + self.fields.len());
        fields::number(
            event::TYPE,
            v1::scheduler::event::Type::Offers as u64,
            &mut out,
        );
        fields::bytes(event::OFFERS, &self.fields, &mut out);
        out.into()
    }
}

fn has(framework: &FrameworkRecord, kind: Capability) -> bool {
    framework_info::has_capability(&framework.info, kind)
}

fn encode_url(agent: &AgentRecord, out: &mut Vec<u8>) {
    let port = agent.info.port.unwrap_or(5051);
    fields::text(url::SCHEME, "http", out);
    fields::nested(url::ADDRESS, out, |out| {
        fields::text(url::HOSTNAME, &agent.info.hostname, out);
        fields::text(url::IP, &agent.ip, out);
        // As protobuf has it: a negative number as the 64 bits of its sign's extension.
        fields::number(url::PORT, i64::from(port).cast_unsigned(), out);
    });
    fields::text(url::PATH, "/slave(1)", out);
}
