//! Media types of registries and layouts.

/// What a media type says about content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A list of manifests for platforms.
    Index,
    /// The manifest of one image.
    Manifest,
    /// Docker's first form, which nothing writes any more.
    FirstSchema,
    /// The configuration of an image.
    Config,
    /// A layer, however it is packed: its first bytes say that.
    Layer,
    /// A layer that its registry does not hold and that must not be passed on.
    Foreign,
    /// A layer that only its owner can read.
    Encrypted,
    /// Something else.
    Other,
}

/// Docker's list of manifests.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker's layer, gzip.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker's layer as `docker save` writes it.
pub const DOCKER_LAYER_PLAIN: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// OCI's list of manifests.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI's manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI's configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI's layer, without its compression.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What we ask registries for, best first.
pub const ACCEPTED: &[&str] = &[OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];

/// What the media type says; parameters after `;` say nothing.
pub fn kind(media_type: &str) -> Kind {
    let plain = media_type.split(';').next().unwrap_or_default().trim();
    if plain.ends_with("+encrypted") {
        return Kind::Encrypted;
    }
    match plain {
        DOCKER_LIST | OCI_INDEX => Kind::Index,
        DOCKER_MANIFEST | OCI_MANIFEST => Kind::Manifest,
        "application/vnd.docker.distribution.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v1+prettyjws" => Kind::FirstSchema,
        DOCKER_CONFIG | OCI_CONFIG => Kind::Config,
        DOCKER_LAYER
        | DOCKER_LAYER_PLAIN
        | "application/vnd.docker.image.rootfs.diff.tar.zstd"
        | OCI_LAYER
        | "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.oci.image.layer.v1.tar+zstd" => Kind::Layer,
        _ if plain.starts_with("application/vnd.docker.image.rootfs.foreign")
            || plain.starts_with("application/vnd.oci.image.layer.nondistributable") =>
        {
            Kind::Foreign
        }
        _ => Kind::Other,
    }
}
