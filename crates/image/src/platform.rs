//! Platforms of images, and which image of many this machine runs.

use std::fmt;

use serde::Deserialize;

/// What an image was made for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, …, as Go names them.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v8`, `v7`, `v2`, ….
    #[serde(default)]
    pub variant: Option<String>,
}

impl Platform {
    /// This machine, as it was compiled for.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: None,
        }
    }

    /// How well an image for `image` does here: less is better, `None` not at all.
    fn distance(&self, image: &Self) -> Option<u32> {
        if image.os != self.os {
            return None;
        }
        let here = (self.architecture.as_str(), self.variant.as_deref());
        let there = (image.architecture.as_str(), image.variant.as_deref());
        match (here, there) {
            // The plain amd64 runs everywhere; of higher levels nobody has said that this machine has them.
            (("arm64", None | Some("v8")), ("arm64", None | Some("v8")))
            | (("amd64", None), ("amd64", None | Some("v1"))) => Some(0),
            (("amd64" | "arm", Some(here)), (there, variant)) if there == self.architecture => {
                let base = if there == "arm" { 7 } else { 1 };
                level(here)?.checked_sub(variant.map_or(Some(base), level)?)
            }
            _ => (here == there).then_some(0),
        }
    }

    /// The place of the best image, or `None` if none runs here.
    pub fn choose<'a>(&self, images: impl Iterator<Item = Option<&'a Self>>) -> Option<usize> {
        images
            .enumerate()
            .filter_map(|(place, image)| Some((self.distance(image?)?, place)))
            .min()
            .map(|(_, place)| place)
    }

    /// Whether an image for `image` runs here.
    pub fn runs(&self, image: &Self) -> bool {
        self.distance(image).is_some()
    }
}

fn level(variant: &str) -> Option<u32> {
    variant.strip_prefix('v')?.parse().ok()
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(out, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        let mut next = || parts.next();
        Platform {
            os: next().unwrap(),
            architecture: next().unwrap(),
            variant: next(),
        }
    }

    #[test]
    fn the_best_image_that_runs_here_is_chosen() {
        for (here, images, chosen) in [
            ("linux/amd64", "linux/arm64 linux/amd64", Some(1)),
            ("linux/amd64", "windows/amd64 linux/amd64", Some(1)),
            ("linux/amd64", "linux/amd64/v3 linux/amd64", Some(1)),
            ("linux/amd64", "linux/amd64/v3", None),
            (
                "linux/amd64/v3",
                "linux/amd64 linux/amd64/v2 linux/amd64/v4",
                Some(1),
            ),
            ("linux/arm64", "linux/arm/v7 linux/arm64/v8", Some(1)),
            ("linux/arm64", "linux/arm/v7", None),
            (
                "linux/arm/v7",
                "linux/arm/v5 linux/arm/v6 linux/arm64",
                Some(1),
            ),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/amd64", "unknown/unknown linux/amd64", Some(1)),
        ] {
            let images: Vec<Platform> = images.split(' ').map(platform).collect();
            let place = platform(here).choose(images.iter().map(Some));
            assert_eq!(place, chosen, "{here} of {images:?}");
        }
    }
}
