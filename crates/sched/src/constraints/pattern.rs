//! Regular expressions of foreign origin: of bounded size, matched in linear time against the whole of a text.
//!
//! The syntax is that of RE2 as far as both have it; `\d`, `\s` and `\w` mean ASCII, as there.

use regex_automata::meta;
use regex_automata::nfa::thompson;
use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{self, Ast, ClassPerlKind, ClassSetItem};
use regex_syntax::hir::translate::Translator;
use regex_syntax::hir::{Hir, Look};
use thiserror::Error;

/// Bytes of our program for a byte of RE2's memory: its instructions are smaller.
const BYTES_PER_BYTE: usize = 4;

/// How large a regular expression may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RegexLimits {
    /// Bytes, as RE2 counts them.
    pub max_mem: usize,
    /// Instructions of the compiled program.
    pub max_program_size: usize,
}

impl Default for RegexLimits {
    fn default() -> Self {
        Self {
            max_mem: 4096,
            max_program_size: 100,
        }
    }
}

/// Why a regular expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It is none.
    #[error("Failed to construct regex from pattern '{pattern}': {fault}")]
    Syntax {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        fault: String,
    },
    /// It needs more memory than is allowed.
    #[error("Failed to construct regex from pattern '{0}': pattern too large - compile failed")]
    TooLarge(String),
    /// Its program is longer than is allowed.
    #[error(
        "Regex '{pattern}' is too complex: program size of {size} is larger than maximum of {max} allowed"
    )]
    TooComplex {
        /// The pattern.
        pattern: String,
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
}

/// A compiled expression; in a snapshot it is its text.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Pattern {
    source: String,
    regex: meta::Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.source
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    /// The limits held when the pattern was taken from its framework.
    fn try_from(source: String) -> Result<Self, PatternError> {
        let unlimited = RegexLimits {
            max_mem: usize::MAX,
            max_program_size: usize::MAX,
        };
        Self::compile(&source, unlimited)
    }
}

impl Pattern {
    pub(super) fn compile(pattern: &str, limits: RegexLimits) -> Result<Self, PatternError> {
        let hir = parse(pattern)?;
        let too_large = || PatternError::TooLarge(pattern.to_owned());
        let most_bytes = limits.max_mem.saturating_mul(BYTES_PER_BYTE);
        let program = thompson::Compiler::new()
            .configure(thompson::Config::new().nfa_size_limit(Some(most_bytes)))
            .build_from_hir(&hir)
            .map_err(|_| too_large())?;
        let size = program.states().len();
        if size > limits.max_program_size {
            return Err(PatternError::TooComplex {
                pattern: pattern.to_owned(),
                size,
                max: limits.max_program_size,
            });
        }
        let whole = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
        // Neither DFA: each would cache more than the program itself, and a text is matched once.
        let config = meta::Config::new().hybrid(false).dfa(false);
        let regex = meta::Regex::builder()
            .configure(config)
            .build_from_hir(&whole)
            .map_err(|_| too_large())?;
        Ok(Self {
            source: pattern.to_owned(),
            regex,
        })
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

fn parse(pattern: &str) -> Result<Hir, PatternError> {
    let syntax = |fault: String| PatternError::Syntax {
        pattern: pattern.to_owned(),
        fault,
    };
    let parsed = Parser::new()
        .parse(pattern)
        .map_err(|error| syntax(error.kind().to_string()))?;
    let ascii = in_ascii(pattern, &parsed);
    let parsed = Parser::new()
        .parse(&ascii)
        .map_err(|error| syntax(error.kind().to_string()))?;
    Translator::new()
        .translate(&ascii, &parsed)
        .map_err(|error| syntax(error.kind().to_string()))
}

/// The pattern with its Perl classes written out for ASCII.
fn in_ascii(pattern: &str, parsed: &Ast) -> String {
    let classes = ast::visit(parsed, PerlClasses(Vec::new()));
    let classes = classes.unwrap_or_else(|never| match never {});
    let (mut ascii, mut from) = (String::new(), 0);
    for class in classes {
        let letters = match class.kind {
            ClassPerlKind::Digit => "0-9",
            ClassPerlKind::Space => r"\t\n\f\r\x20",
            ClassPerlKind::Word => "0-9A-Za-z_",
        };
        let negation = if class.negated { "^" } else { "" };
        ascii.push_str(&pattern[from..class.span.start.offset]);
        ascii.extend(["[", negation, letters, "]"]);
        from = class.span.end.offset;
    }
    ascii.push_str(&pattern[from..]);
    ascii
}

/// Gathers the Perl classes in the order of the text.
struct PerlClasses(Vec<ast::ClassPerl>);

impl ast::Visitor for PerlClasses {
    type Output = Vec<ast::ClassPerl>;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<Self::Output, Self::Err> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, part: &Ast) -> Result<(), Self::Err> {
        if let Ast::ClassPerl(class) = part {
            self.0.push((**class).clone());
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Self::Err> {
        if let ClassSetItem::Perl(class) = item {
            self.0.push(class.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(pattern: &str) -> Result<Pattern, PatternError> {
        Pattern::compile(pattern, RegexLimits::default())
    }

    #[test]
    fn a_pattern_matches_the_whole_text_only() {
        let pattern = compile("[a-d]+|x").unwrap();
        assert!(pattern.matches("abcd") && pattern.matches("x"));
        assert!(!pattern.matches("abcde") && !pattern.matches("xx") && !pattern.matches(""));
    }

    #[test]
    fn perl_classes_mean_ascii_inside_and_outside_of_brackets() {
        let pattern = compile(r"rack-\d+[\w.]\S").unwrap();
        assert!(pattern.matches("rack-12.x") && pattern.matches("rack-1_é"));
        assert!(!pattern.matches("rack-١.x") && !pattern.matches("rack-1éx"));
    }

    #[test]
    fn usual_patterns_fit_into_the_default_limits() {
        for usual in [
            r"\w+",
            ".*",
            "(foo|bar|baz)-[0-9]{1,3}",
            r"host[0-9]+\.example\.com",
        ] {
            assert_eq!(compile(usual).map(|_| ()), Ok(()), "{usual}");
        }
    }

    #[test]
    fn what_grows_too_much_is_refused_as_too_complex_or_too_large() {
        compile("(a+){10}").unwrap();
        assert!(matches!(
            compile("(a+){50}"),
            Err(PatternError::TooComplex { .. })
        ));
        assert!(matches!(
            compile("(a+){500}"),
            Err(PatternError::TooLarge(_))
        ));
        let syntax = compile("[a-d").unwrap_err().to_string();
        assert!(
            syntax.starts_with("Failed to construct regex from pattern '[a-d': "),
            "{syntax}"
        );
    }
}
