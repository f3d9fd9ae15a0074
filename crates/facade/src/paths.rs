//! The paths of an API as a table: what the router lets through, and what the API's description is made of.

/// A path with what can be done there.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Its parts: words, `{name}` for any one part, `{+name}` for one or more.
    pub template: &'static str,
    /// None where a request is only told what is there instead.
    pub operations: &'static [Operation],
}

/// What one method does.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// In capitals.
    pub method: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Parameters of the query.
    pub query: &'static [Parameter],
    /// The schema of the body, where there is one.
    pub body: Option<&'static str>,
    /// What is answered when all goes well.
    pub answers: &'static [(u16, Content)],
    /// The statuses of refusals.
    pub refusals: &'static [u16],
}

/// What an answer holds.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    Nothing,
    /// JSON of this schema.
    Json(&'static str),
    /// A text of this type.
    Text(&'static str),
    /// JSON of this schema, or a plain text for who asks for it.
    JsonOrText(&'static str),
}

/// A parameter of a query.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// What it may be.
    pub shape: Shape,
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Flag,
    Text,
    /// Any number of texts.
    Texts,
    /// A text of this pattern.
    Pattern(&'static str),
}

/// Something that can be done.
const fn operation(method: &'static str, about: &'static str) -> Operation {
    Operation {
        method,
        about,
        query: &[],
        body: None,
        answers: &[],
        refusals: &[],
    }
}

/// A GET.
pub const fn get(about: &'static str, content: &'static [(u16, Content)]) -> Operation {
    operation("GET", about).answers(content)
}

/// A POST.
pub const fn post(about: &'static str) -> Operation {
    operation("POST", about)
}

/// A PUT.
pub const fn put(about: &'static str) -> Operation {
    operation("PUT", about)
}

/// A PATCH.
pub const fn patch(about: &'static str) -> Operation {
    operation("PATCH", about)
}

/// A DELETE.
pub const fn delete(about: &'static str) -> Operation {
    operation("DELETE", about)
}

impl Operation {
    /// With parameters.
    #[must_use]
    pub const fn query(mut self, query: &'static [Parameter]) -> Self {
        self.query = query;
        self
    }

    /// With a body.
    #[must_use]
    pub const fn body(mut self, schema: &'static str) -> Self {
        self.body = Some(schema);
        self
    }

    /// With answers.
    #[must_use]
    pub const fn answers(mut self, answers: &'static [(u16, Content)]) -> Self {
        self.answers = answers;
        self
    }

    /// With refusals.
    #[must_use]
    pub const fn refuses(mut self, refusals: &'static [u16]) -> Self {
        self.refusals = refusals;
        self
    }
}

impl Path {
    /// Whether a path that was taken apart is this one.
    pub fn is(&self, parts: &[&str]) -> bool {
        let words: Vec<&str> = self
            .template
            .split('/')
            .filter(|word| !word.is_empty())
            .collect();
        // There is one `{+…}` at most, so that what stands around it says how long it is.
        let Some(at) = words.iter().position(|word| word.starts_with("{+")) else {
            return words.len() == parts.len() && fit(&words, parts);
        };
        let (front, back) = (&words[..at], &words[at + 1..]);
        parts.len() > front.len() + back.len()
            && fit(front, parts)
            && fit(back, &parts[parts.len() - back.len()..])
    }
}

fn fit(words: &[&str], parts: &[&str]) -> bool {
    let fits = |(word, part): (&&str, &&str)| word.starts_with('{') || word == part;
    words.iter().zip(parts).all(fits)
}

/// Whether a table knows a path.
pub fn know(paths: &[Path], parts: &[&str]) -> bool {
    paths.iter().any(|path| path.is(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_several_parts_lie_between_words() {
        let path = |template| Path {
            template,
            operations: &[],
        };
        let tasks = path("/apps/{+id}/tasks/{task}");
        assert!(tasks.is(&["apps", "a", "b", "tasks", "t"]));
        assert!(tasks.is(&["apps", "tasks", "tasks", "tasks"]));
        assert!(!tasks.is(&["apps", "tasks", "t"]));
        assert!(!tasks.is(&["apps", "a", "tasks"]));
        assert!(path("/").is(&[]));
        assert!(!path("/a/{b}").is(&["a"]));
        assert!(!path("/a/{b}").is(&["a", "b", "c"]));
    }
}
