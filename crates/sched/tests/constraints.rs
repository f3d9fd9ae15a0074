//! Offer constraints: the predicates one by one, and whole expressions against a naive reading of them.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_proto::v1;
use mezz_proto::v1::scheduler as wire;
use mezz_sched::{AgentSpec, FaultDomain, FrameworkSpec, OfferConstraints, Reason, RegexLimits};
use proptest::prelude::*;
use std::sync::Arc;
use support::{Lab, SECOND, a, f, framework, res};
use wire::attribute_constraint as parts;
use wire::offer_constraints::{RoleConstraints, role_constraints::Group};

const HOSTNAME: i32 = 1;
const REGION: i32 = 2;
const ZONE: i32 = 3;

fn named(name: &str) -> parts::Selector {
    let name = parts::selector::Selector::AttributeName(name.to_owned());
    parts::Selector {
        selector: Some(name),
    }
}

fn derived(kind: i32) -> parts::Selector {
    parts::Selector {
        selector: Some(parts::selector::Selector::PseudoattributeType(kind)),
    }
}

fn predicate(kind: &str, text: &str) -> parts::Predicate {
    use parts::predicate::{
        Exists, NotExists, Predicate as P, TextEquals, TextMatches, TextNotEquals, TextNotMatches,
    };
    let value = text.to_owned();
    let predicate = match kind {
        "exists" => P::Exists(Exists {}),
        "absent" => P::NotExists(NotExists {}),
        "is" => P::TextEquals(TextEquals { value }),
        "is not" => P::TextNotEquals(TextNotEquals { value }),
        "matches" => P::TextMatches(TextMatches { regex: value }),
        _ => P::TextNotMatches(TextNotMatches { regex: value }),
    };
    parts::Predicate {
        predicate: Some(predicate),
    }
}

type Term = (parts::Selector, parts::Predicate);

fn constraints(role: &str, groups: &[Vec<Term>]) -> wire::OfferConstraints {
    let group = |terms: &Vec<Term>| Group {
        attribute_constraints: terms
            .iter()
            .map(|(selector, predicate)| wire::AttributeConstraint {
                selector: selector.clone(),
                predicate: predicate.clone(),
            })
            .collect(),
    };
    let expression = RoleConstraints {
        groups: groups.iter().map(group).collect(),
    };
    wire::OfferConstraints {
        role_constraints: [(role.to_owned(), expression)].into(),
    }
}

fn compiled(constraints: &wire::OfferConstraints) -> OfferConstraints {
    OfferConstraints::compile(constraints, RegexLimits::default()).unwrap()
}

fn one(selector: parts::Selector, kind: &str, text: &str) -> OfferConstraints {
    compiled(&constraints(
        "dev",
        &[vec![(selector, predicate(kind, text))]],
    ))
}

fn attributes(text: &str) -> Vec<v1::Attribute> {
    mezz_resource::attributes::parse(text).unwrap()
}

fn agent(attribute_list: &str) -> AgentSpec {
    AgentSpec {
        total: res("cpus:4;mem:4096"),
        attributes: attributes(attribute_list),
        hostname: "node-1.example".into(),
        domain: Some(FaultDomain {
            region: "north".into(),
            zone: "n1".into(),
        }),
        ..AgentSpec::default()
    }
}

#[test]
fn each_predicate_says_what_it_says_of_text_of_nothing_and_of_numbers() {
    let absent = agent("other:x");
    let (text, number) = (agent("rack:ab"), agent("rack:12"));
    for (kind, argument, on_text, on_nothing, on_number) in [
        ("exists", "", true, false, true),
        ("absent", "", false, true, false),
        ("is", "ab", true, false, true),
        ("is", "a", false, false, true),
        ("is not", "ab", false, true, true),
        ("is not", "a", true, true, true),
        ("matches", "[a-d]+", true, false, true),
        ("matches", "a", false, false, true),
        ("does not match", "[a-d]+", false, true, true),
        ("does not match", "a", true, true, true),
    ] {
        let rule = one(named("rack"), kind, argument);
        let verdicts = [&text, &absent, &number].map(|agent| rule.admits("dev", agent));
        assert_eq!(
            verdicts,
            [on_text, on_nothing, on_number],
            "{kind} {argument}"
        );
    }
}

#[test]
fn of_two_attributes_of_one_name_the_first_counts() {
    let two = agent("rack:a;rack:b");
    assert!(one(named("rack"), "is", "a").admits("dev", &two));
    assert!(!one(named("rack"), "is", "b").admits("dev", &two));
}

#[test]
fn host_region_and_zone_are_derived_from_the_agent() {
    let here = agent("");
    let nowhere = AgentSpec {
        domain: None,
        ..here.clone()
    };
    for (kind, text) in [
        (HOSTNAME, "node-1.example"),
        (REGION, "north"),
        (ZONE, "n1"),
    ] {
        assert!(one(derived(kind), "is", text).admits("dev", &here));
        assert!(!one(derived(kind), "is", "other").admits("dev", &here));
    }
    assert!(one(derived(HOSTNAME), "exists", "").admits("dev", &nowhere));
    for kind in [REGION, ZONE] {
        assert!(!one(derived(kind), "exists", "").admits("dev", &nowhere));
        assert!(one(derived(kind), "is not", "north").admits("dev", &nowhere));
    }
}

#[test]
fn what_says_nothing_is_refused_by_name() {
    let refusal = |constraints: &wire::OfferConstraints| {
        let refused = OfferConstraints::compile(constraints, RegexLimits::default());
        refused.unwrap_err().to_string()
    };
    let no_groups = refusal(&constraints("dev", &[]));
    assert!(
        no_groups.contains("empty 'RoleConstraints::groups' for role dev"),
        "{no_groups}"
    );
    let empty = refusal(&constraints("dev", &[vec![]]));
    assert!(empty.contains("empty RoleConstraints::Group"), "{empty}");
    let unknown = vec![(derived(0), predicate("exists", ""))];
    let unknown = refusal(&constraints("dev", &[unknown]));
    assert!(
        unknown.ends_with("Unknown pseudoattribute type"),
        "{unknown}"
    );
    let broken = vec![(named("rack"), predicate("matches", "[a-d"))];
    let broken = refusal(&constraints("dev", &[broken]));
    assert!(
        broken.starts_with(
            "A role dev has an invalid 'AttributeConstraint': Failed to construct regex"
        ),
        "{broken}"
    );
}

fn picky(roles: &[&str], constraints: OfferConstraints) -> FrameworkSpec {
    FrameworkSpec {
        constraints: Arc::new(constraints),
        ..framework(roles)
    }
}

#[test]
fn new_constraints_hide_agents_and_their_end_shows_them_again() {
    let mut lab = Lab::new();
    for (index, attributes) in ["rack:a", "rack:b", "rack:a"].into_iter().enumerate() {
        let index = u32::try_from(index).unwrap();
        lab.sched.add_agent(a(index), agent(attributes), &[]);
    }
    lab.framework(0, &["dev"]);
    for grant in lab.cycle() {
        lab.sched
            .recover(lab.now, f(0), grant.agent, &grant.resources, None);
    }
    let rule = one(named("rack"), "is", "b");
    lab.sched.update_framework(f(0), picky(&["dev"], rule));
    let offered: Vec<_> = lab.cycle().iter().map(|grant| grant.agent).collect();
    assert_eq!(offered, [a(1)]);
    let reasons = lab.sched.explain(lab.now, f(0), "dev");
    assert!(
        reasons.contains(&Reason::Constrained { agents: 2 }),
        "{reasons:?}"
    );
    lab.sched.update_framework(f(0), framework(&["dev"]));
    assert_eq!(
        lab.cycle().len(),
        2,
        "a change of constraints leads to offers"
    );
}

#[test]
fn an_agent_that_changes_its_attributes_is_seen_anew() {
    let mut lab = Lab::new();
    lab.sched.add_agent(a(0), agent("rack:a"), &[]);
    let rule = one(named("rack"), "is", "b");
    lab.sched.add_framework(f(0), picky(&["dev"], rule), true);
    assert!(lab.cycle().is_empty());
    lab.sched.update_agent(a(0), agent("rack:b"));
    assert_eq!(lab.cycle().len(), 1);
}

#[test]
fn constraints_of_one_role_leave_the_other_roles_alone() {
    let mut lab = Lab::new();
    lab.sched.add_agent(a(0), agent("rack:a"), &[]);
    let rule = one(named("rack"), "absent", "");
    lab.sched
        .add_framework(f(0), picky(&["dev", "ops"], rule), true);
    let grants = lab.cycle();
    assert_eq!(grants.len(), 1);
    assert_eq!(&*grants[0].role, "ops");
}

/// What the wire says, read word by word without compiling anything.
fn naive(constraints: &wire::OfferConstraints, role: &str, agent: &AgentSpec) -> bool {
    let Some(expression) = constraints.role_constraints.get(role) else {
        return true;
    };
    expression.groups.iter().any(|group| {
        group.attribute_constraints.iter().all(|constraint| {
            use parts::predicate::Predicate as P;
            use parts::selector::Selector as S;
            let domain = agent.domain.as_ref();
            // The outer option: whether it is there; the inner: whether it is text.
            let found: Option<Option<String>> = match constraint.selector.selector.as_ref().unwrap()
            {
                S::AttributeName(name) => agent
                    .attributes
                    .iter()
                    .find(|attribute| attribute.name == *name)
                    .map(|attribute| attribute.text.as_ref().map(|text| text.value.clone())),
                S::PseudoattributeType(HOSTNAME) => Some(Some(agent.hostname.clone())),
                S::PseudoattributeType(REGION) => domain.map(|domain| Some(domain.region.clone())),
                S::PseudoattributeType(_) => domain.map(|domain| Some(domain.zone.clone())),
            };
            // The expressions in use are literals, so matching is being equal.
            match (constraint.predicate.predicate.as_ref().unwrap(), found) {
                (P::Exists(_), found) => found.is_some(),
                (P::NotExists(_), found) => found.is_none(),
                (P::TextEquals(_) | P::TextMatches(_), None) => false,
                (P::TextNotEquals(_) | P::TextNotMatches(_), None) | (_, Some(None)) => true,
                (P::TextEquals(wanted), Some(Some(text))) => text == wanted.value,
                (P::TextNotEquals(wanted), Some(Some(text))) => text != wanted.value,
                (P::TextMatches(wanted), Some(Some(text))) => text == wanted.regex,
                (P::TextNotMatches(wanted), Some(Some(text))) => text != wanted.regex,
            }
        })
    })
}

fn any_term() -> impl Strategy<Value = Term> {
    let selector = prop_oneof![
        "[xy]".prop_map(|name| named(&name)),
        (HOSTNAME..=ZONE).prop_map(derived),
    ];
    let kind = prop::sample::select(vec![
        "exists",
        "absent",
        "is",
        "is not",
        "matches",
        "does not match",
    ]);
    (selector, kind, "[ab]").prop_map(|(selector, kind, text)| (selector, predicate(kind, &text)))
}

fn any_constraints() -> impl Strategy<Value = wire::OfferConstraints> {
    prop::collection::vec(prop::collection::vec(any_term(), 1..4), 1..4)
        .prop_map(|groups| constraints("dev", &groups))
}

fn any_agent() -> impl Strategy<Value = AgentSpec> {
    let attribute = prop::sample::select(vec!["x:a", "x:b", "y:a", "y:b", "x:1", "y:[1-2]"]);
    let domain = prop::option::of(("[ab]", "[ab]"));
    (prop::collection::vec(attribute, 0..3), "[ab]", domain).prop_map(|(list, hostname, domain)| {
        AgentSpec {
            hostname,
            domain: domain.map(|(region, zone)| FaultDomain { region, zone }),
            ..agent(&list.join(";"))
        }
    })
}

proptest! {
    #[test]
    fn what_is_offered_is_what_a_naive_reading_admits(
        agents in prop::collection::vec(any_agent(), 1..8),
        first in any_constraints(),
        second in any_constraints(),
        late in prop::collection::vec(any_agent(), 0..4),
    ) {
        let mut lab = Lab::new();
        let mut all = agents;
        for (index, spec) in all.iter().enumerate() {
            lab.sched.add_agent(a(u32::try_from(index).unwrap()), spec.clone(), &[]);
        }
        lab.sched.add_framework(f(0), picky(&["dev"], compiled(&first)), true);
        lab.sched.add_framework(f(1), picky(&["other"], compiled(&first)), false);
        for rule in [&first, &second] {
            lab.sched.update_framework(f(0), picky(&["dev"], compiled(rule)));
            let mut offered: Vec<u32> = Vec::new();
            for grant in lab.cycle() {
                offered.push(grant.agent.0);
                lab.sched.recover(lab.now, f(0), grant.agent, &grant.resources, None);
            }
            offered.sort_unstable();
            let wanted: Vec<u32> = (0u32..)
                .zip(&all)
                .filter(|(_, spec)| naive(rule, "dev", spec))
                .map(|(index, _)| index)
                .collect();
            prop_assert_eq!(offered, wanted);
            lab.pass(SECOND);
            for grant in lab.cycle() {
                lab.sched.recover(lab.now, f(0), grant.agent, &grant.resources, None);
            }
            // Agents that come, and one that changes, are judged by the rules that stand.
            for spec in &late {
                lab.sched.add_agent(a(u32::try_from(all.len()).unwrap()), spec.clone(), &[]);
                all.push(spec.clone());
            }
            if let Some(spec) = late.first() {
                lab.sched.update_agent(a(0), spec.clone());
                all[0] = spec.clone();
            }
        }
    }
}
