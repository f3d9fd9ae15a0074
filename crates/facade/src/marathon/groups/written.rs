//! What a client sends of a group, as objects to apply and apps to end.

use mezz_spec::group::Group;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_workload::records::ObjectRecord;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::instant::zulu;
use crate::marathon::app::{ServicePorts, Written, instances_of};
use crate::marathon::{apps, errors, roles};
use crate::reading::{Fault, Faults, Members};
use crate::world::World;

/// How deep groups may lie in each other.
const DEEPEST: usize = 16;

/// What a request about a group comes to.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) objects: Vec<Object>,
    /// Apps that the group no longer has.
    pub(super) ends: Vec<Name>,
}

impl Plan {
    /// Of a body about a group; `is_new` when nothing of it may be there.
    pub(super) fn new(
        world: &World<'_>,
        group: Option<&Name>,
        body: &Value,
        is_new: bool,
    ) -> Result<Self, Answer> {
        let head = Head::read(body)?;
        let is_alone = head.apps.is_none() && head.groups.is_none();
        if let Some(factor) = head.factor {
            if is_alone {
                return scaled(world, group, factor);
            }
            let message = "it stands alone: leave apps and groups out";
            return Err(errors::invalid_at("/scaleBy", message));
        }
        if let Some(version) = head.version
            && is_alone
        {
            return Self::back(world, group, &version);
        }
        let mut reader = Reader {
            world,
            plan: Self::default(),
            ports: ServicePorts::new(world),
            is_new,
            enforced: None,
        };
        reader.group(group, body, 0)?;
        Ok(reader.plan)
    }

    /// All apps below a group as they were at a version. What was deleted since has no history to come back from.
    pub(super) fn back(
        world: &World<'_>,
        group: Option<&Name>,
        version: &str,
    ) -> Result<Self, Answer> {
        let mut plan = Self::default();
        let mut ports = ServicePorts::new(world);
        let mut is_known = group
            .and_then(|group| world.object(Kind::Group, group))
            .is_some_and(|own| has_version(own, version));
        for record in below(world, group) {
            is_known |= has_version(record, version);
            let versions = apps::versions_of(record).into_iter().map(zulu);
            let Some(then) = versions.into_iter().find(|own| own.as_str() <= version) else {
                plan.ends.push(record.name.clone());
                continue;
            };
            let (_, app) = apps::at_version(record, &then)?;
            plan.objects.push(apps::make(
                &record.name,
                &one(app)?,
                None,
                None,
                &mut ports,
            )?);
        }
        if is_known {
            Ok(plan)
        } else {
            Err(no_version(group, version))
        }
    }
}

fn has_version(record: &ObjectRecord, version: &str) -> bool {
    apps::versions_of(record)
        .into_iter()
        .any(|own| zulu(own) == version)
}

fn below<'w>(world: &World<'w>, group: Option<&Name>) -> Vec<&'w ObjectRecord> {
    world
        .of_kind(Kind::Service)
        .filter(|record| group.is_none_or(|group| record.name.is_within(group)))
        .collect()
}

/// All apps below a group, with so many times the instances, rounded up.
fn scaled(world: &World<'_>, group: Option<&Name>, factor: f64) -> Result<Plan, Answer> {
    if !(0.0..=1e6).contains(&factor) {
        return Err(errors::invalid_at(
            "/scaleBy",
            "a number from 0 on is wanted",
        ));
    }
    let mut plan = Plan::default();
    let mut ports = ServicePorts::new(world);
    for record in below(world, group) {
        let count = (f64::from(instances_of(record)) * factor).ceil();
        let written = one(json!({ "instances": count }))?;
        plan.objects.push(apps::make(
            &record.name,
            &written,
            Some(record),
            None,
            &mut ports,
        )?);
    }
    Ok(plan)
}

fn one(app: Value) -> Result<Written, Answer> {
    Written::new(app).map_err(|faults| errors::invalid(&faults))
}

/// 404 for a version that nothing below a group ever had.
pub(super) fn no_version(group: Option<&Name>, version: &str) -> Answer {
    let path = group.map_or("/", Name::as_str);
    Answer::message(404, format!("Group '{path}' has no version {version}"))
}

/// The members of a group itself.
struct Head<'a> {
    id: Option<String>,
    version: Option<String>,
    factor: Option<f64>,
    /// Whether its apps must have its role.
    enforced: Option<bool>,
    after: Vec<String>,
    apps: Option<&'a [Value]>,
    groups: Option<&'a [Value]>,
}

impl<'a> Head<'a> {
    fn read(body: &'a Value) -> Result<Self, Answer> {
        let faults = Faults::dropping();
        let head = Self::members(body, &faults);
        match head {
            Some(head) if faults.is_empty() => Ok(head),
            _ => Err(errors::invalid(&faults.into_list())),
        }
    }

    fn members(body: &'a Value, faults: &Faults) -> Option<Self> {
        let members = Members::new(body, "", faults)?;
        members.pass(&["versionInfo"]);
        members.not_built("pods", "pods are");
        let list = |key| {
            members.list(key)?;
            body.get(key)?.as_array().map(Vec::as_slice)
        };
        let head = Self {
            id: members.text("id").map(str::to_owned),
            version: members.text("version").map(str::to_owned),
            factor: members.number("scaleBy"),
            enforced: members.flag("enforceRole"),
            after: members.texts("dependencies").unwrap_or_default(),
            apps: list("apps"),
            groups: list("groups"),
        };
        members.finish();
        Some(head)
    }
}

/// The members of a group itself that Marathon drops, for those who want to tell of them.
pub fn unknown_members(group: &Value) -> Vec<Fault> {
    let faults = Faults::default();
    Head::members(group, &faults);
    faults.into_unknown()
}

struct Reader<'w> {
    world: &'w World<'w>,
    plan: Plan,
    ports: ServicePorts,
    is_new: bool,
    /// What the outermost group that is being read says of roles.
    enforced: Option<bool>,
}

impl Reader<'_> {
    /// A group, and what lies in it. Without apps, or without groups, those that are there stay.
    fn group(&mut self, outer: Option<&Name>, body: &Value, depth: usize) -> Result<(), Answer> {
        if depth > DEEPEST {
            return Err(errors::invalid_at(
                "/groups",
                "groups lie too deep in each other",
            ));
        }
        let head = Head::read(body)?;
        let own = match head.id.as_deref() {
            // Of the outermost the path has the say, when it says something.
            Some("/") => None,
            Some(id) if depth > 0 || outer.is_none() => Some(resolve(id, outer)?),
            _ => outer.cloned(),
        };
        let (apps, groups) = (head.apps, head.groups);
        let is_outermost = own
            .as_ref()
            .is_some_and(|name| name.components().count() == 1);
        if is_outermost {
            self.enforced = head.enforced;
        } else if head.enforced.is_some() {
            roles::check_place(own.as_ref())?;
        }
        if let Some(name) = &own {
            self.own(name, &head.after, head.enforced)?;
        }
        for app in apps.unwrap_or_default() {
            self.app(own.as_ref(), app)?;
        }
        for group in groups.unwrap_or_default() {
            self.group(own.as_ref(), group, depth + 1)?;
        }
        self.missing(own.as_ref(), apps.is_some(), groups.is_some());
        Ok(())
    }

    fn own(&mut self, name: &Name, after: &[String], enforced: Option<bool>) -> Result<(), Answer> {
        let present = self.world.object(Kind::Group, name);
        let is_service = self.world.object(Kind::Service, name).is_some();
        if self.is_new && (is_service || super::exists(self.world, Some(name))) {
            return Err(Answer::message(
                409,
                format!("Group or app '{name}' already exists"),
            ));
        }
        let mut group = match present.map(|record| &*record.spec) {
            Some(Spec::Group(group)) => (**group).clone(),
            _ => Group::default(),
        };
        let enforced = enforced.or_else(|| roles::of_group(&group));
        roles::set(&mut group, enforced);
        let parent = name.parent();
        group.after = after
            .iter()
            .map(|text| resolve(text, parent.as_ref()))
            .collect::<Result<_, _>>()?;
        self.plan.objects.push(Object {
            name: name.clone(),
            labels: present
                .map(|record| record.labels.clone())
                .unwrap_or_default(),
            spec: Spec::Group(Box::new(group)),
            generation: None,
        });
        Ok(())
    }

    fn app(&mut self, group: Option<&Name>, app: &Value) -> Result<(), Answer> {
        let written = one(app.clone())?;
        let id = written.id.as_deref().unwrap_or_default();
        let name = resolve(id, group)?;
        let present = self.world.object(Kind::Service, &name);
        if self.is_new && present.is_some() {
            return Err(Answer::message(409, format!("App '{name}' already exists")));
        }
        // Told whole, but ports keep their numbers.
        let mut written = written;
        if let (Some(record), None) = (present, written.app.get("portDefinitions")) {
            let shown = crate::marathon::app::shown(&record.name, &record.spec);
            if let Some(ports) = shown.and_then(|app| app.get("portDefinitions").cloned()) {
                written.app.insert("portDefinitions".into(), ports);
            }
        }
        let enforced = self.enforced.or_else(|| roles::enforced(self.world, &name));
        let object = apps::make(&name, &written, None, enforced, &mut self.ports)?;
        self.plan.objects.push(object);
        Ok(())
    }

    /// Apps that are there and that the body does not name any more.
    fn missing(&mut self, group: Option<&Name>, apps: bool, groups: bool) {
        for record in below(self.world, group) {
            let name = &record.name;
            let is_child = name.parent().as_ref() == group;
            let is_named = self
                .plan
                .objects
                .iter()
                .any(|object| object.name == *name && matches!(object.spec, Spec::Service(_)));
            // What a group in the body has kept, it has decided itself.
            let is_decided = !is_child
                && self.plan.objects.iter().any(|object| {
                    matches!(object.spec, Spec::Group(_))
                        && Some(&object.name) != group
                        && name.is_within(&object.name)
                });
            let wanted = if is_child { apps } else { groups };
            if wanted && !is_named && !is_decided && !self.plan.ends.contains(name) {
                self.plan.ends.push(name.clone());
            }
        }
    }
}

fn resolve(text: &str, group: Option<&Name>) -> Result<Name, Answer> {
    crate::marathon::app::resolve(text, group).map_err(|message| errors::invalid_at("/id", message))
}
