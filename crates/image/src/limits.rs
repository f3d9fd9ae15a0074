//! How much of anything an image may have.

/// Caps that hold for every image; what is above one of them is refused with the name of the cap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a manifest, an index or a configuration.
    pub document_bytes: u64,
    /// Manifests that an index lists.
    pub index_entries: usize,
    /// Layers of an image; the kernel stacks no more than 500.
    pub layers: usize,
    /// Bytes of a layer as it is downloaded.
    pub blob_bytes: u64,
    /// Bytes of a layer when it is unpacked.
    pub layer_bytes: u64,
    /// Files, directories and links of one layer.
    pub layer_entries: u64,
    /// Bytes of a path.
    pub path_bytes: usize,
    /// Directories above a file.
    pub path_depth: usize,
    /// Bytes of what a tar says about one entry beside its content: long names and attributes.
    pub header_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 4 << 20,
            index_entries: 1_000,
            layers: 500,
            blob_bytes: 64 << 30,
            layer_bytes: 128 << 30,
            layer_entries: 4_000_000,
            path_bytes: 4_096,
            path_depth: 256,
            header_bytes: 1 << 20,
        }
    }
}
