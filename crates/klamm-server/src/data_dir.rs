//! A directory that a cluster keeps its logs in: one folder a node, and the cluster's id beside them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use klamm_log::Disk;
use klamm_log::disk::FileDisk;
use klamm_node::NodeId;
use klamm_wire::StrBytes;
use klamm_world::{WorldSettings, cluster_id};

use crate::settings::StartError;

/// Where the cluster's id stands. A node refuses a disk that is another cluster's, so the id must outlive the run.
const CLUSTER_ID: &str = "cluster.id";

/// A data directory.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// The cluster whose data it is.
    pub(crate) cluster_id: StrBytes,
    /// Whether no cluster had used it.
    pub(crate) is_new: bool,
}

impl DataDir {
    /// Opens a directory, making it (and an id, from the seed) where there is none.
    pub(crate) fn open(path: &Path, seed: u64) -> Result<Self, StartError> {
        let bad = |source| StartError::DataDir { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(bad)?;
        let file = path.join(CLUSTER_ID);
        match fs::read_to_string(&file) {
            Ok(id) => Ok(Self {
                path: path.to_owned(),
                cluster_id: StrBytes::from(id.trim().to_owned()),
                is_new: false,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let cluster_id = cluster_id(seed);
                fs::write(&file, format!("{cluster_id}\n")).map_err(bad)?;
                Ok(Self { path: path.to_owned(), cluster_id, is_new: true })
            }
            Err(error) => Err(bad(error)),
        }
    }

    /// A disk for each node.
    pub(crate) fn disks(
        &self,
        settings: &WorldSettings,
    ) -> Result<BTreeMap<NodeId, Box<dyn Disk>>, StartError> {
        let brokers = settings.brokers.iter().map(|broker| broker.node);
        let nodes = brokers.chain(settings.controllers.iter().copied());
        nodes
            .map(|node| {
                let path = self.path.join(format!("node-{node}"));
                let disk = FileDisk::open(&path)
                    .map_err(|error| StartError::DataDir { path, source: io::Error::other(error) })?;
                let disk: Box<dyn Disk> = Box::new(disk);
                Ok((node, disk))
            })
            .collect()
    }
}
