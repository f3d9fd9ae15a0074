//! Texts that people and clients write: resources, attributes, durations, roles, query strings.

use mezz_http::query::{Query, percent_decode, percent_encode};
use mezz_resource::{Quantities, attributes, format_duration, parse_duration};

pub(crate) fn resources(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(resources) = mezz_resource::parse(&text, "*") {
        let wire = resources.to_proto();
        let again = mezz_resource::Resources::from_proto(&wire)
            .expect("what was parsed is valid on the wire");
        assert_eq!(again, resources);
    }
    // Each of these may refuse; none may panic.
    let _ = mezz_resource::parse_text(&text, "role");
    let _ = attributes::parse(&text);
    let _ = Quantities::parse_alternatives(&text);
    if let Ok(duration) = parse_duration(&text) {
        let _ = format_duration(duration);
    }
}

pub(crate) fn ids(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if mezz_resource::validate_role(&text).is_ok() {
        assert!(!text.is_empty() && !text.starts_with(['-', '/']) && !text.contains("//"));
        for ancestor in mezz_resource::ancestors(&text) {
            assert!(mezz_resource::is_strict_subrole_of(&text, ancestor));
        }
    }
}

pub(crate) fn queries(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let query = Query::parse(&text);
    for (key, _) in query.pairs() {
        assert!(query.get(key).is_some());
        let _ = query.number::<u64>(key);
        let _ = query.flag(key);
    }
    assert_eq!(percent_decode(&percent_encode(&text)), text);
}
