//! Randomness from one seed, split into named streams.

use klamm_wire::Uuid;
use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A seeded random stream. Streams split from one root by name do not disturb one another.
#[derive(Debug, Clone)]
pub struct Rng(Xoshiro256PlusPlus);

impl Rng {
    /// The stream of a seed.
    pub fn from_seed(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// The stream called `name` under a root seed: the same pair always gives the same stream.
    pub fn stream(root_seed: u64, name: &str) -> Self {
        // FNV-1a: stable across builds and platforms, which a `Hasher` does not promise.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
        Self::from_seed(root_seed ^ hash)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`, uniform but for a bias below 2⁻³². `bound` must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True with probability `p` (0.0 to 1.0).
    pub fn chance(&mut self, p: f64) -> bool {
        const SCALE: f64 = (1_u64 << 53) as f64;
        ((self.next_u64() >> 11) as f64) < p * SCALE
    }

    /// A random (version 4) UUID that Kafka does not reserve: its text form does not begin with a dash.
    pub fn uuid(&mut self) -> Uuid {
        loop {
            let mut bytes = [0_u8; 16];
            bytes[..8].copy_from_slice(&self.next_u64().to_be_bytes());
            bytes[8..].copy_from_slice(&self.next_u64().to_be_bytes());
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            // Kafka prints ids in URL-safe base64; a leading '-' (value 62) confuses command lines, so Kafka redraws.
            if bytes[0] >> 2 != 62 {
                return Uuid::from_bytes(bytes);
            }
        }
    }
}
