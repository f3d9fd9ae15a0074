//! Waiting for an image, and telling how far it is.

use std::sync::Arc;

use mezz_image::credentials::DockerConfig;
use mezz_image::pull::{Phase, Progress, Pull, PullPolicy, PullRequest, Puller};
use mezz_image::reference::Reference;
use mezz_image::store::Image;

use crate::preparing::{PrepareError, Wanted};

/// The image could not be had.
#[derive(Debug, thiserror::Error)]
#[error("Failed to pull the image '{name}': {reason}")]
struct PullFailed {
    name: String,
    reason: String,
}

/// The image, when it is there.
pub(super) async fn pull(
    puller: &Arc<Puller>,
    wanted: &Wanted,
    reference: Reference,
    cached: bool,
    config: Option<Arc<DockerConfig>>,
) -> Result<Image, PrepareError> {
    let name = reference.familiar();
    let pull = puller.pull(PullRequest {
        reference,
        policy: PullPolicy::of_cached(cached),
        config,
    });
    wanted
        .unless_canceled(async {
            let image = watch(&pull, wanted, &name).await;
            image.map_err(|reason| {
                PrepareError::of(PullFailed {
                    name: name.clone(),
                    reason,
                })
            })
        })
        .await
}

async fn watch(pull: &Pull, wanted: &Wanted, name: &str) -> Result<Image, String> {
    let mut progress = pull.progress();
    let image = pull.image();
    tokio::pin!(image);
    loop {
        let text = told(name, *progress.borrow_and_update());
        wanted.progress.tell(text);
        tokio::select! {
            image = &mut image => return image.map_err(|error| error.to_string()),
            changed = progress.changed() => if changed.is_err() {
                return image.await.map_err(|error| error.to_string());
            },
        }
    }
}

fn told(name: &str, progress: Progress) -> String {
    const MIB: u64 = 1 << 20;
    match progress.phase {
        Phase::Resolving => format!("asking the registry for {name}"),
        Phase::Layers | Phase::Done => format!(
            "pulling {name}: {} of {} layers, {} of {} MiB",
            progress.layers_done,
            progress.layers,
            progress.bytes_done / MIB,
            progress.bytes.div_ceil(MIB),
        ),
    }
}
