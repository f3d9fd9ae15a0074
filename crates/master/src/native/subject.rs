//! What a GET of the native API is about, and how to read it from a view, whatever the mode of the answer.

use std::sync::Arc;

use mezz_http::Response;
use serde_json::{Value, json};

use super::given::Given;
use super::openapi;
use super::problems::not_found;
use super::rows::{Kind, List, read_cursor};
use super::selection::Selection;
use super::tasks;
use super::why;
use super::work::WorkSubject;
use crate::facades::Facade;
use crate::options::VERSION;
use crate::shared::Shared;
use crate::view::View;

/// Lists longer than this are made on a thread of their own.
const LONG: usize = 1_000;

/// A resource that can be read.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    List {
        kind: Kind,
        selection: Arc<Selection>,
        page: PageWanted,
    },
    /// An agent, framework, role or offer.
    Element {
        kind: Kind,
        id: String,
    },
    Task {
        framework: Option<String>,
        id: String,
    },
    /// Users' objects and what became of them.
    Work(Box<WorkSubject>),
    Why(String),
    Version,
    OpenApi,
    FacadeOpenApi(Facade),
    /// The JSON Schema of a kind, or of all kinds.
    Schema(Option<mezz_spec::Kind>),
}

/// Which part of a list.
#[derive(Clone, Debug)]
pub(super) struct PageWanted {
    limit: usize,
    after: Option<(u64, String)>,
    /// Whether the query names a page at all.
    pub(super) is_part: bool,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) value: Value,
    pub(super) next_cursor: Option<String>,
}

impl Subject {
    /// A list as its query selects it.
    pub(super) fn list(kind: Kind, given: &Given) -> Self {
        let after = given.text("cursor").and_then(read_cursor);
        let limit = given.count("limit");
        let page = PageWanted {
            is_part: limit.is_some() || after.is_some(),
            limit: limit.map_or(usize::MAX, |limit| {
                usize::try_from(limit).unwrap_or(usize::MAX)
            }),
            after,
        };
        Self::List {
            kind,
            selection: Arc::new(Selection::new(given)),
            page,
        }
    }

    /// The index at which it may last have changed.
    pub(super) fn changed_at(&self, view: &View) -> u64 {
        let indexes = &view.indexes;
        match self {
            Self::List { kind, .. } | Self::Element { kind, .. } => kind_changed_at(*kind, view),
            Self::Task { .. } => indexes.tasks,
            Self::Work(_) => indexes.work,
            Self::Why(_) => indexes.newest,
            Self::Version | Self::OpenApi | Self::FacadeOpenApi(_) | Self::Schema(_) => {
                crate::indexes::base(&view.records)
            }
        }
    }

    /// Reads it from a view.
    pub(super) async fn read(&self, shared: &Shared, view: &Arc<View>) -> Result<Read, Response> {
        let value = match self {
            Self::List {
                kind,
                selection,
                page,
            } => return self.read_page(*kind, selection, page, view).await,
            Self::Element { kind, id } => element(*kind, id, view)?,
            Self::Task { framework, id } => {
                tasks::details(shared, view, framework.as_deref(), id).await?
            }
            Self::Work(subject) => subject.read(view)?,
            Self::Why(id) => why::document(shared, view, id).await?,
            Self::Version => {
                json!({ "mezz_version": env!("CARGO_PKG_VERSION"), "version": VERSION })
            }
            Self::OpenApi => openapi::document(),
            Self::FacadeOpenApi(facade) => facade.openapi(),
            Self::Schema(Some(kind)) => mezz_spec::schema(*kind).clone(),
            Self::Schema(None) => mezz_spec::schema::any_schema(),
        };
        Ok(Read {
            value,
            next_cursor: None,
        })
    }

    async fn read_page(
        &self,
        kind: Kind,
        selection: &Arc<Selection>,
        page: &PageWanted,
        view: &Arc<View>,
    ) -> Result<Read, Response> {
        let (view, selection, page) = (view.clone(), selection.clone(), page.clone());
        let is_long = view.records.tasks.len().max(view.records.agents.len()) > LONG;
        let build = move || {
            let page = List::new(kind, &view, &selection).page(page.limit, page.after);
            Read {
                value: Value::Array(page.elements),
                next_cursor: page.next,
            }
        };
        if is_long {
            off_thread(build).await
        } else {
            Ok(build())
        }
    }
}

/// The index at which a list last changed.
pub(super) fn kind_changed_at(kind: Kind, view: &View) -> u64 {
    let indexes = &view.indexes;
    match kind {
        Kind::Tasks => indexes.tasks,
        Kind::Agents => indexes.agents,
        Kind::Frameworks => indexes.frameworks,
        Kind::Roles => indexes.roles,
        Kind::Offers => indexes.offers,
    }
}

/// Runs what takes long on a thread where it delays nobody.
pub(super) async fn off_thread<T: Send + 'static>(
    build: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response> {
    tokio::task::spawn_blocking(build).await.map_err(|error| {
        super::problems::problem(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            &format!("the answer could not be made: {error}"),
            None,
        )
    })
}

fn element(kind: Kind, id: &str, view: &View) -> Result<Value, Response> {
    let everything = Selection::default();
    let (what, list) = match kind {
        Kind::Agents => ("agent", "agents"),
        Kind::Frameworks => ("framework", "frameworks"),
        Kind::Roles => ("role", "roles"),
        Kind::Offers => ("offer", "offers"),
        Kind::Tasks => ("task", "tasks"),
    };
    List::new(kind, view, &everything).one(id).ok_or_else(|| {
        not_found(
            &format!("there is no {what} '{id}'"),
            &format!("GET /v1/{list} lists those that are known"),
        )
    })
}
