//! Telling somebody every input as it happens: whoever hands them to a world of the same settings has the same cluster.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::mpsc::Sender;

use klamm_node::Timestamp;
use klamm_world::recording::{RecordingError, RecordingReader, RecordingWriter};
use klamm_world::{Input, Output, World, WorldSettings};

/// What a follower is told, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// The next bytes of the recording, always whole entries. The first are its beginning.
    Inputs(Vec<u8>),
    /// Everything up to here is what [`Server::play`](crate::Server::play) was asked for.
    Reached {
        /// How many events the cluster's trace has had.
        events: u64,
        /// Its rolling hash.
        hash: u64,
    },
}

/// Tells a follower.
#[derive(Debug)]
pub(crate) struct Teller {
    /// `None` once nobody listens any more.
    writer: Option<RecordingWriter<Pipe>>,
    sender: Sender<Followed>,
}

impl Teller {
    pub(crate) fn begin(sender: Sender<Followed>, settings: &WorldSettings) -> io::Result<Self> {
        let pipe = Pipe { bytes: Vec::new(), sender: sender.clone() };
        let mut writer = RecordingWriter::begin(pipe, settings)?;
        writer.flush()?;
        Ok(Self { writer: Some(writer), sender })
    }

    pub(crate) fn input(&mut self, now: Timestamp, input: &Input) {
        let Some(writer) = &mut self.writer else { return };
        if let Err(error) = writer.input(now, input).and_then(|()| writer.flush()) {
            tracing::debug!(%error, "nobody follows any more");
            self.writer = None;
        }
    }

    pub(crate) fn reached(&self, world: &World) {
        let (events, hash) = (world.trace().recorded(), world.trace().hash());
        // An error says that nobody follows any more.
        let _ = self.sender.send(Followed::Reached { events, hash });
    }
}

/// Collects an entry, and hands it on when it is whole.
#[derive(Debug)]
struct Pipe {
    bytes: Vec<u8>,
    sender: Sender<Followed>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        self.sender.send(Followed::Inputs(bytes)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A world that goes through what another one goes through.
#[derive(Debug)]
pub struct Mirror {
    reader: RecordingReader<Backlog>,
    world: World,
    outputs: Vec<Output>,
}

/// Bytes that were told and not yet read.
#[derive(Debug, Default)]
struct Backlog(VecDeque<u8>);

impl Read for Backlog {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Mirror {
    /// Begins with the first bytes that a follower is told.
    ///
    /// # Errors
    /// When they are no recording's beginning.
    pub fn begin(first: Vec<u8>) -> Result<Self, RecordingError> {
        let reader = RecordingReader::begin(Backlog(first.into()))?;
        let world = World::new(reader.settings().clone(), std::collections::BTreeMap::new());
        Ok(Self { reader, world, outputs: Vec::new() })
    }

    /// Goes through further inputs. `see` is shown each, and what the world has to say to it.
    ///
    /// # Errors
    /// When the bytes make no sense.
    pub fn feed(
        &mut self,
        bytes: Vec<u8>,
        mut see: impl FnMut(&Input, &[Output]),
    ) -> Result<(), RecordingError> {
        self.reader.source_mut().0.extend(bytes);
        while let Some((now, input)) = self.reader.next_input()? {
            self.world.handle(now, input.clone(), &mut self.outputs);
            see(&input, &self.outputs);
            self.outputs.clear();
        }
        Ok(())
    }

    /// The world as it is after everything that was fed.
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Whether the world is what the other one was when it said so.
    pub fn is(&self, events: u64, hash: u64) -> bool {
        self.world.trace().recorded() == events && self.world.trace().hash() == hash
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use klamm_node::NodeId;
    use klamm_world::Command;

    use super::*;
    use crate::{Server, ServerSettings};

    /// A mirror of a cluster whose broker 1 was killed, without the inputs that `leave_out` names by their order.
    fn mirrored(leave_out: &[usize]) -> (Mirror, bool) {
        let (follow, told) = channel();
        let settings =
            ServerSettings { paused: true, follow: Some(follow), trace_capacity: 100, ..Default::default() };
        let server = Server::start(settings).unwrap();
        let at = Timestamp(u64::try_from(server.elapsed().as_nanos()).unwrap());
        server.play(at, Input::Command(Command::Crash(NodeId(1))));
        server.play(at + std::time::Duration::from_secs(60), Input::Tick);
        drop(server);
        let mut told = told.into_iter();
        let Some(Followed::Inputs(first)) = told.next() else { panic!("nothing is told") };
        let mut mirror = Mirror::begin(first).unwrap();
        let mut same = true;
        let inputs = told.enumerate().filter(|(at, _)| !leave_out.contains(at));
        for (_, followed) in inputs {
            match followed {
                Followed::Inputs(bytes) => mirror.feed(bytes, |_, _| {}).unwrap(),
                Followed::Reached { events, hash } => same = mirror.is(events, hash),
            }
        }
        (mirror, same)
    }

    #[test]
    fn a_mirror_goes_through_the_same() {
        let (mirror, same) = mirrored(&[]);
        assert!(same && !mirror.world().is_up(NodeId(1)) && mirror.world().is_up(NodeId(2)));
        assert!(mirror.world().trace().recorded() > 10);
        // One that misses a broker's start does not, and it is noticed.
        assert!(!mirrored(&[1]).1);
    }
}
