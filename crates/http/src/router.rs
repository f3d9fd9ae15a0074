//! Routing as libprocess does it: the longest registered prefix wins, by whole path components.
//!
//! `/api/v1/operator` therefore reaches `/api/v1`. A trailing slash does not matter, `X.json` is `X`,
//! and the names of a delegate (`/master`, `/slave(1)`) may stand in front of every path.

use std::collections::BTreeMap;

/// A table from path prefixes to targets.
#[derive(Clone, Debug)]
pub struct Router<T> {
    routes: BTreeMap<String, T>,
    delegates: Vec<String>,
}

impl<T> Router<T> {
    /// A table without routes; `delegates` are path components such as `master` that may stand in front.
    pub fn new<'a>(delegates: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            routes: BTreeMap::new(),
            delegates: delegates
                .into_iter()
                .map(|name| format!("/{name}"))
                .collect(),
        }
    }

    /// Registers a prefix such as `/api/v1`. `/` matches only itself.
    #[must_use]
    pub fn route(mut self, prefix: &str, target: T) -> Self {
        self.routes.insert(prefix.to_owned(), target);
        self
    }

    /// The target of the longest matching prefix, and what follows the prefix.
    pub fn find<'a>(&self, path: &'a str) -> Option<(&T, &'a str)> {
        let path = self.without_delegate(path);
        let trimmed = path.trim_end_matches('/');
        if trimmed.is_empty() {
            return self.routes.get("/").map(|target| (target, ""));
        }
        let mut end = trimmed.len();
        while end > 0 {
            let candidate = &trimmed[..end];
            let target = self
                .routes
                .get(candidate)
                .or_else(|| self.routes.get(candidate.strip_suffix(".json")?));
            if let Some(target) = target {
                return Some((target, &path[end..]));
            }
            end = candidate.rfind('/').unwrap_or(0);
        }
        None
    }

    fn without_delegate<'a>(&self, path: &'a str) -> &'a str {
        self.delegates
            .iter()
            .find_map(|delegate| {
                let rest = path.strip_prefix(delegate.as_str())?;
                (rest.is_empty() || rest.starts_with('/')).then_some(rest)
            })
            .unwrap_or(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router<&'static str> {
        Router::new(["master", "slave(1)"])
            .route("/", "root")
            .route("/api/v1", "operator")
            .route("/api/v1/scheduler", "scheduler")
            .route("/state", "state")
            .route("/files/read", "read")
            .route("/system/stats.json", "stats")
    }

    fn target(path: &str) -> Option<&'static str> {
        router().find(path).map(|(target, _)| *target)
    }

    #[test]
    fn the_longest_prefix_wins() {
        assert_eq!(target("/api/v1"), Some("operator"));
        assert_eq!(target("/api/v1/operator"), Some("operator"));
        assert_eq!(target("/api/v1/scheduler"), Some("scheduler"));
        assert_eq!(target("/api/v1/scheduler/"), Some("scheduler"));
        assert_eq!(target("/api/v1x"), None);
        assert_eq!(target("/api"), None);
    }

    #[test]
    fn delegates_and_json_aliases_reach_the_same_target() {
        for path in [
            "/state",
            "/state/",
            "/state.json",
            "/master/state",
            "/master/state.json",
            "/slave(1)/state",
        ] {
            assert_eq!(target(path), Some("state"), "{path}");
        }
        assert_eq!(target("/files/read.json"), Some("read"));
        assert_eq!(target("/system/stats.json"), Some("stats"));
    }

    #[test]
    fn the_root_matches_only_itself() {
        assert_eq!(target("/"), Some("root"));
        assert_eq!(target("/master"), Some("root"));
        assert_eq!(target("/nope"), None);
    }

    #[test]
    fn what_follows_the_prefix_is_handed_on() {
        let router = Router::new([]).route("/v1/tasks", ());
        assert_eq!(router.find("/v1/tasks/a/logs"), Some((&(), "/a/logs")));
        assert_eq!(router.find("/v1/tasks/"), Some((&(), "/")));
    }
}
