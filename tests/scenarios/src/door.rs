//! Doors before the listeners of Kafka's nodes: every connection passes through this process, frame by frame.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use klamm_node::NodeId;
use klamm_world::FaultId;
use klamm_world::fault::RequestAction;

use crate::frames::{Frame, node_of};
use crate::roads::{Passage, Roads, Verdict};
use crate::rules::Way;

/// How long a connection that its client closed outlives the last request that was held on it, so that the node reads it.
const LINGER: Duration = Duration::from_secs(1);

/// What a look at a connection may take.
const INSTANT: Duration = Duration::from_millis(1);

/// Opens a door to `node`, which listens at `port` itself, and tells the door's port.
///
/// # Errors
/// When no port is to be had.
pub(crate) fn open(roads: &Arc<Roads>, node: NodeId, port: u16) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let own = listener.local_addr()?.port();
    let roads = Arc::downgrade(roads);
    thread::spawn(move || {
        for source in listener.incoming() {
            let (Some(roads), Ok(source)) = (roads.upgrade(), source) else { return };
            thread::spawn(move || {
                // A node that is down: the client finds its connection closed.
                let Ok(target) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return };
                let way = Connection { roads, node, shared: Mutex::default() };
                let _ = way.carry(&source, &target);
            });
        }
    });
    Ok(own)
}

/// One connection through a door.
struct Connection {
    roads: Arc<Roads>,
    node: NodeId,
    shared: Mutex<Shared>,
}

/// What both directions of a connection know.
#[derive(Default)]
struct Shared {
    /// Who is at the other end; `None` for a client.
    peer: Option<NodeId>,
    /// What becomes of answers, by correlation id.
    answers: BTreeMap<i32, (FaultId, RequestAction)>,
}

impl Connection {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries requests and answers until either end is closed.
    fn carry(&self, source: &TcpStream, target: &TcpStream) -> io::Result<()> {
        source.set_nodelay(true)?;
        target.set_nodelay(true)?;
        let both = [source.try_clone()?, target.try_clone()?];
        thread::scope(|scope| {
            scope.spawn(move || {
                let [mut source, mut target] = both;
                let _ = self.answers(&mut source, &mut target);
                let _ = source.shutdown(Shutdown::Both);
                let _ = target.shutdown(Shutdown::Both);
            });
            let (mut from, mut to) = (source, target);
            if matches!(self.requests(&mut from, &mut to), Ok(true)) {
                thread::sleep(LINGER);
            }
            let _ = target.shutdown(Shutdown::Both);
            let _ = source.shutdown(Shutdown::Both);
        });
        Ok(())
    }

    /// Carries requests; at the end, whether the last one was held.
    fn requests(&self, source: &mut &TcpStream, target: &mut &TcpStream) -> io::Result<bool> {
        let (mut held, mut noted) = (false, false);
        while let Some(frame) = Frame::read(source)? {
            let arrived = Instant::now();
            let Some(header) = frame.header() else { return Ok(false) };
            let from = node_of(&header.client_id);
            if !noted {
                noted = true;
                self.shared().peer = from;
                let streams = [source.try_clone()?, target.try_clone()?];
                self.roads.note(Passage { node: self.node, peer: from, streams });
            }
            held = false;
            match self.roads.request(from, self.node, &header) {
                None => {}
                Some((id, RequestAction::Hold)) => {
                    held = true;
                    self.roads.wait(id);
                }
                Some((_, RequestAction::Delay(by))) => thread::sleep(by),
                Some((_, RequestAction::Drop)) => return swallow(source),
                Some((_, RequestAction::CloseBefore)) => return Ok(false),
                Some(answer) => {
                    self.shared().answers.insert(header.correlation_id, answer);
                }
            }
            let way = Way { from, to: Some(self.node), answer: false };
            match self.travel(way, arrived) {
                Some(waited) => held |= waited,
                None => return swallow(source),
            }
            frame.write(target)?;
        }
        Ok(held)
    }

    fn answers(&self, source: &mut TcpStream, target: &mut TcpStream) -> io::Result<()> {
        while let Some(frame) = Frame::read(target)? {
            let arrived = Instant::now();
            let (peer, fate) = {
                let mut shared = self.shared();
                let fate = frame.correlation_id().and_then(|id| shared.answers.remove(&id));
                (shared.peer, fate)
            };
            if let Some((id, _)) = fate {
                self.roads.hit_answer(id);
            }
            match fate {
                Some((id, RequestAction::HoldAnswer)) => {
                    self.roads.wait(id);
                    // What a node said that died meanwhile does not arrive: its connections were reset.
                    target.set_read_timeout(Some(INSTANT))?;
                    if matches!(target.peek(&mut [0]), Ok(0)) {
                        return Ok(());
                    }
                    target.set_read_timeout(None)?;
                }
                Some((_, RequestAction::DelayAnswer(by))) => thread::sleep(by),
                Some((_, RequestAction::DropAnswer)) => return swallow(&mut &*target).map(drop),
                Some((_, RequestAction::CloseAfter)) => return Ok(()),
                _ => {}
            }
            let way = Way { from: Some(self.node), to: peer, answer: true };
            if self.travel(way, arrived).is_none() {
                return swallow(&mut &*target).map(drop);
            }
            frame.write(source)?;
        }
        Ok(())
    }

    /// Waits until the network lets a message through: whether it was held, or `None` when it is lost.
    fn travel(&self, way: Way, arrived: Instant) -> Option<bool> {
        let mut held = false;
        loop {
            match self.roads.network(way) {
                Verdict::Pass => return Some(held),
                Verdict::Hold(id) => {
                    held = true;
                    self.roads.wait(id);
                }
                Verdict::Delay(by) => {
                    thread::sleep(by.saturating_sub(arrived.elapsed()));
                    return Some(held);
                }
                Verdict::Silence => return None,
            }
        }
    }
}

/// Reads on, and lets nothing through, until the connection is closed.
fn swallow(from: &mut &TcpStream) -> io::Result<bool> {
    io::copy(from, &mut io::sink())?;
    Ok(false)
}
