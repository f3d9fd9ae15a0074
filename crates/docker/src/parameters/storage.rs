//! Flags about files, and about where the Engine keeps output.

use super::Row;
use super::reading::{pair, switch};
use crate::create::{CreateRequest, LogConfig};

pub(super) const FLAGS: &[Row] = &[
    (&["volume"], |request, value| {
        if value.contains(':') {
            request.host_config.binds.push(value.to_owned());
        } else {
            request.volumes.insert(value.to_owned());
        }
        Ok(())
    }),
    (&["volume-driver"], |request, value| {
        value.clone_into(&mut request.host_config.volume_driver);
        Ok(())
    }),
    (&["volumes-from"], |request, value| {
        let from = &mut request.host_config.volumes_from;
        from.push(value.to_owned());
        Ok(())
    }),
    (&["tmpfs"], |request, value| {
        let (path, options) = value.split_once(':').unwrap_or((value, ""));
        let all = &mut request.host_config.isolation.tmpfs;
        all.insert(path.to_owned(), options.to_owned());
        Ok(())
    }),
    (&["read-only"], |request, value| {
        request.host_config.isolation.readonly_rootfs = switch(value)?;
        Ok(())
    }),
    (&["log-driver"], |request, value| {
        value.clone_into(&mut log(request).r#type);
        Ok(())
    }),
    (&["log-opt"], |request, value| {
        let (key, value) = pair(value)?;
        log(request).config.insert(key, value);
        Ok(())
    }),
];

fn log(request: &mut CreateRequest) -> &mut LogConfig {
    let config = &mut request.host_config.log_config;
    config.get_or_insert_with(Default::default)
}
