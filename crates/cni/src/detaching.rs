//! Detaching a container: each network in reverse, then its namespace; whatever a crash left, it is undone here too.

use std::collections::BTreeSet;

use crate::client::{Cni, blocking};
use crate::error::{CniError, PluginFault};
use crate::ids::ContainerId;
use crate::maintenance::Swept;
use crate::namespace;
use crate::record::{AttachmentRecord, ContainerRecord, Phase};
use crate::request::Endpoint;
use crate::run_folder::{self, ContainerFolder, Input};

impl Cni {
    /// Undoes everything that was begun for a container. What is undone already needs nothing, so this may be called
    /// again after a failure, and for a container that was never attached.
    pub async fn detach(&self, container: &ContainerId) -> Result<(), CniError> {
        let _pass = self.gate.read().await;
        let _alone = self.alone_with(container).await;
        let folder = self.folder(container);
        if !folder.path().exists() {
            return Ok(());
        }
        match folder.record()? {
            Some(mut record) => self.undo(&folder, &mut record).await,
            // The crash came before the record: nothing but the folder can be there.
            None => folder.remove(),
        }
    }

    /// Detaches every container that is not among the living.
    pub async fn sweep(&self, living: &BTreeSet<ContainerId>) -> Result<Swept, CniError> {
        let mut swept = Swept::default();
        for container in run_folder::containers(&self.settings.run_dir)? {
            if living.contains(&container) {
                continue;
            }
            match self.detach(&container).await {
                Ok(()) => swept.removed.push(container),
                Err(error) => swept.failed.push((container, error)),
            }
        }
        Ok(swept)
    }

    /// Deletes each attachment that may hold something, and then everything else.
    pub(crate) async fn undo(
        &self,
        folder: &ContainerFolder,
        record: &mut ContainerRecord,
    ) -> Result<(), CniError> {
        let mut input = folder.input(self.settings.deadline).await?;
        let path = folder.namespace();
        // After a reboot only the file is left, which must not be given to a plugin.
        let namespace = namespace::is_namespace(&path).then(|| path.display().to_string());
        let mut errors = Vec::new();
        for index in (0..record.attachments.len()).rev() {
            let attachment = &record.attachments[index];
            if !attachment.may_hold() {
                continue;
            }
            let endpoint = Endpoint {
                container: record.container.clone(),
                interface: attachment.interface.clone(),
                namespace: namespace.clone(),
            };
            match self.delete(attachment, &endpoint, &mut input).await {
                Ok(()) => {
                    record.attachments[index].phase = Phase::Deleted;
                    folder.write_record(record)?;
                }
                Err(error) => errors.push(error),
            }
        }
        CniError::all(errors)?;
        let folder = folder.clone();
        blocking(&path, "cannot remove the network namespace", move |_| {
            folder.remove().map_err(std::io::Error::other)
        })
        .await
    }

    async fn delete(
        &self,
        attachment: &AttachmentRecord,
        endpoint: &Endpoint,
        input: &mut Input,
    ) -> Result<(), CniError> {
        for invocation in attachment.deletions(endpoint) {
            let deleted = self
                .run_for(&attachment.network.name, &invocation, input)
                .await;
            match deleted {
                Ok(_) => {}
                Err(CniError::Plugin {
                    fault: PluginFault::Reported(error),
                    ..
                }) if error.says_unknown_container() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
