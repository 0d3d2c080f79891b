//! The same cluster for callers that block: plain `#[test]` functions, clients without `async`.

use std::ops::Deref;
use std::time::Duration;

use klamm_server::block_on;
use klamm_world::World;

use crate::cluster::{self, BrokerId};
use crate::error::Error;

/// A running cluster, from [`Builder::start_blocking`](crate::Builder::start_blocking). Dropping it frees everything it
/// holds. What does not wait is [`cluster::Cluster`]'s.
#[derive(Debug)]
pub struct Cluster {
    inner: cluster::Cluster,
}

impl Deref for Cluster {
    type Target = cluster::Cluster;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl Cluster {
    /// Describes a cluster.
    pub fn builder() -> crate::Builder {
        cluster::Cluster::builder()
    }

    pub(crate) const fn new(inner: cluster::Cluster) -> Self {
        Self { inner }
    }

    /// One of its brokers.
    ///
    /// # Errors
    /// [`Error::NoBroker`].
    pub fn broker(&self, id: impl Into<BrokerId>) -> Result<Broker<'_>, Error> {
        Ok(Broker { inner: self.inner.broker(id)? })
    }

    /// One of its controllers. Their ids are 100, 101 and 102.
    ///
    /// # Errors
    /// [`Error::NoController`].
    pub fn controller(&self, id: impl Into<BrokerId>) -> Result<Controller<'_>, Error> {
        Ok(Controller { inner: self.inner.controller(id)? })
    }

    /// Blocks until `condition` is true: it is asked now, and again after everything that happens, without polling.
    ///
    /// # Errors
    /// [`Error::Timeout`] after 30 seconds of real time.
    pub fn wait_until(&self, condition: impl FnMut(&World) -> bool) -> Result<(), Error> {
        block_on(self.inner.wait_until(condition))
    }

    /// As [`Cluster::wait_until`], with another deadline in real time.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub fn wait_until_for(
        &self,
        deadline: Duration,
        condition: impl FnMut(&World) -> bool,
    ) -> Result<(), Error> {
        block_on(self.inner.wait_until_for(deadline, condition))
    }

    /// Ends the recording, if there is one; its file is complete then. The cluster goes on.
    pub fn end_recording(&self) {
        block_on(self.inner.end_recording());
    }

    /// Stops every broker in order, then frees everything.
    pub fn stop(self) {
        block_on(self.inner.stop());
    }
}

/// One broker of a running cluster.
#[derive(Debug, Clone)]
pub struct Broker<'a> {
    inner: cluster::Broker<'a>,
}

impl<'a> Deref for Broker<'a> {
    type Target = cluster::Broker<'a>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl Broker<'_> {
    /// Stops it in order: it hands its leaderships over first.
    ///
    /// # Errors
    /// When the cluster is dead; here and below.
    pub fn stop(&self) -> Result<(), Error> {
        block_on(self.inner.stop())
    }

    /// Kills its process: nothing is handed over, what it had written stays.
    ///
    /// # Errors
    /// When the cluster is dead.
    pub fn crash(&self) -> Result<(), Error> {
        block_on(self.inner.crash())
    }

    /// Cuts its power: what it had flushed stays.
    ///
    /// # Errors
    /// When the cluster is dead.
    pub fn power_loss(&self) -> Result<(), Error> {
        block_on(self.inner.power_loss())
    }

    /// Starts it again, on its old disk and port; stops it in order first if it runs. Its port is
    /// open when this returns, but it closes every connection until the controller has unfenced it. After a crash that is when
    /// the session of its earlier life is over (`broker.session.timeout.ms`).
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> Result<(), Error> {
        block_on(self.inner.restart())
    }
}

/// One controller of a running cluster.
#[derive(Debug, Clone)]
pub struct Controller<'a> {
    inner: cluster::Controller<'a>,
}

impl<'a> Deref for Controller<'a> {
    type Target = cluster::Controller<'a>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl Controller<'_> {
    /// Stops it in order: one that leads the quorum lets another take over first.
    ///
    /// # Errors
    /// When the cluster is dead; here and below.
    pub fn stop(&self) -> Result<(), Error> {
        block_on(self.inner.stop())
    }

    /// Kills its process: what it had written stays.
    ///
    /// # Errors
    /// When the cluster is dead.
    pub fn crash(&self) -> Result<(), Error> {
        block_on(self.inner.crash())
    }

    /// Cuts its power: what it had flushed stays.
    ///
    /// # Errors
    /// When the cluster is dead.
    pub fn power_loss(&self) -> Result<(), Error> {
        block_on(self.inner.power_loss())
    }

    /// Starts it again, on its old disk; stops it in order first if it runs.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> Result<(), Error> {
        block_on(self.inner.restart())
    }
}
