//! What the operations work on, and what must come out.

mod asym;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use offload::{
    AesKey, Buffer, Failure, FailureKind, Op, OpKind, Output, Padding, Request, Response,
};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sim_engine::compute::{NoKey, PublicKey, compute};
use zeroize::Zeroizing;

use crate::error::InputError;

/// The most bytes of a file that are used, unless one operation takes more.
const INPUT_BYTES_MAX: usize = 64 << 20;
/// The most pieces of a file that are used.
const FILE_INPUTS_MAX: usize = 4096;
/// The most bytes of pseudo-random payload, unless one operation takes more.
const RANDOM_BYTES_MAX: usize = 16 << 20;
/// The most different pseudo-random payloads.
const RANDOM_INPUTS_MAX: usize = 64;
/// What a block mode's padding can add.
const PADDING_BYTES: usize = 16;
/// The longest result that takes the place of its input: a signature with RSA-4096.
const RESULT_BYTES_MAX: usize = 512;

/// The inputs that the operations go round, and for each what plain software makes of it: every
/// response is compared, byte for byte. Signatures that are never twice the same are verified.
pub(crate) struct Payload {
    op: Op,
    /// The other half of a private key in `op`.
    public: Option<PublicKey>,
    size: usize,
    cases: Vec<Case>,
}

struct Case {
    input: Vec<u8>,
    expected: Expected,
}

enum Expected {
    /// Exactly this.
    Exactly {
        /// What comes back in the buffer, where that is not the input.
        data: Option<Vec<u8>>,
        output: Output,
    },
    /// Some signature of the input, in the buffer.
    Signature,
}

impl Case {
    /// The buffer becomes `data`, and that is all.
    fn becomes(input: Vec<u8>, data: Vec<u8>) -> Case {
        let (data, output) = (Some(data), Output::None);
        Case {
            input,
            expected: Expected::Exactly { data, output },
        }
    }
}

/// Why there is no payload.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadError {
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error(transparent)]
    Refused(#[from] FailureKind),
    #[error(transparent)]
    NoKey(#[from] NoKey),
}

impl Payload {
    /// Pseudo-random bytes, the same for the same seed.
    pub(crate) fn random(kind: OpKind, size: usize, seed: u64) -> Result<Payload, PayloadError> {
        let count = random_inputs(size);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let inputs = (0..count).map(|_| {
            let mut input = vec![0; size];
            rng.fill_bytes(&mut input);
            input
        });
        Payload::new(kind, size, seed, inputs.collect())
    }

    /// What software makes of each input of `inputs`, all of `size` bytes; of an asymmetric operation's
    /// only the first few are used, and none where it makes its own ([`input_bytes`]).
    pub(crate) fn new(
        kind: OpKind,
        size: usize,
        seed: u64,
        mut inputs: Vec<Vec<u8>>,
    ) -> Result<Payload, PayloadError> {
        if kind.is_asymmetric() {
            inputs.truncate(asym::INPUTS_MAX);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(2); // apart from the payload's bytes and from the keys
            let plan = asym::plan(kind, inputs, &mut rng)?;
            let unknown = FailureKind::BadRequest {
                reason: "this version of the bench has no payload for the operation; give another",
            };
            let asym::Plan { op, public, cases } = plan.ok_or(unknown)?;
            let public = Some(public);
            return Ok(Payload {
                op,
                public,
                size,
                cases,
            });
        }
        let op = op_with_keys(kind, seed);
        let expect = |input: Vec<u8>| {
            let request = Request::new(op.clone(), input.clone());
            let Response { data, output, .. } = compute(request)?;
            let data = (*data != input).then(|| data.to_vec());
            let expected = Expected::Exactly { data, output };
            Ok(Case { input, expected })
        };
        let cases = inputs.into_iter().map(expect);
        Ok(Payload {
            op: op.clone(),
            public: None,
            size,
            cases: cases.collect::<Result<_, PayloadError>>()?,
        })
    }

    /// Operation number `n` of a thread: its input is copied into `buffer`.
    pub(crate) fn request(&self, n: u64, id: u64, mut buffer: Buffer) -> Request {
        let case = self.case(n);
        buffer.clear();
        buffer.extend_from_slice(&case.input);
        Request {
            op: self.op.clone(),
            data: buffer,
            id,
        }
    }

    /// Whether `response` is what software makes of operation number `n`.
    pub(crate) fn is_right(&self, n: u64, response: &Response) -> bool {
        let case = self.case(n);
        match &case.expected {
            Expected::Exactly { data, output } => {
                response.output == *output
                    && *response.data == *data.as_ref().unwrap_or(&case.input)
            }
            Expected::Signature => {
                let public = self.public.as_ref();
                response.output == Output::None
                    && public.is_some_and(|key| key.verifies(&self.op, &case.input, &response.data))
            }
        }
    }

    /// A buffer that no operation outgrows.
    pub(crate) fn buffer(&self) -> Buffer {
        let bytes = self.size + PADDING_BYTES;
        Zeroizing::new(Vec::with_capacity(match self.public {
            Some(_) => bytes.max(RESULT_BYTES_MAX),
            None => bytes,
        }))
    }

    fn case(&self, n: u64) -> &Case {
        // Never empty: neither constructor's callers make an empty list.
        &self.cases[(n % self.cases.len() as u64) as usize]
    }
}

/// How long the inputs of `kind` are, whatever is asked for: of those that take a ciphertext or a
/// peer's public key, which the payload makes.
pub(crate) fn input_bytes(kind: OpKind) -> Option<usize> {
    asym::input_bytes(kind)
}

/// How many pseudo-random inputs of `size` bytes are made.
fn random_inputs(size: usize) -> usize {
    (RANDOM_BYTES_MAX / size).clamp(1, RANDOM_INPUTS_MAX)
}

/// How many pieces of `size` bytes of a file are used at most.
fn file_inputs_max(size: usize) -> usize {
    (INPUT_BYTES_MAX / size).clamp(1, FILE_INPUTS_MAX)
}

/// The memory that a payload takes at most: the inputs, and what comes back.
pub(crate) fn bytes_max(size: usize, from_file: bool) -> u64 {
    let count = if from_file {
        file_inputs_max(size)
    } else {
        random_inputs(size)
    };
    2 * count as u64 * (size + PADDING_BYTES) as u64
}

/// Pieces of a file of `size` bytes each, spread over it where there are more than are used. What
/// is missing of the last is filled from the first. No more is read than is used.
pub(crate) fn file_inputs(path: &Path, size: usize) -> Result<Vec<Vec<u8>>, InputError> {
    let inputs = File::open(path).and_then(|file| read_inputs(file, size));
    let inputs = inputs.map_err(|source| InputError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if inputs.is_empty() {
        let path = path.to_owned();
        return Err(InputError::EmptyInput { path });
    }
    Ok(inputs)
}

fn read_inputs(mut file: File, size: usize) -> io::Result<Vec<Vec<u8>>> {
    let most = file_inputs_max(size);
    // 0 for a pipe or a device: the first pieces of that are used.
    let whole = file.metadata()?.len() / size as u64;
    let spread = whole > most as u64;
    let mut inputs: Vec<Vec<u8>> = Vec::new();
    while inputs.len() < most {
        if spread {
            // Below the file's length, as the product over `most` is.
            let piece = u128::from(whole) * inputs.len() as u128 / most as u128;
            file.seek(SeekFrom::Start(piece as u64 * size as u64))?;
        }
        let mut input = Vec::new();
        (&mut file).take(size as u64).read_to_end(&mut input)?;
        let len = input.len();
        if len == 0 {
            break;
        }
        if len < size {
            // From the file's first byte on, and round again.
            let start = inputs.first().map_or_else(|| input.clone(), Vec::clone);
            input.extend(start.iter().cycle().take(size - len));
        }
        inputs.push(input);
        if len < size {
            break;
        }
    }
    Ok(inputs)
}

/// The operation with keys and the like from the seed; sealing for GCM, encryption for CBC.
fn op_with_keys(kind: OpKind, seed: u64) -> Op {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Apart from the payload's bytes.
    rng.set_stream(1);
    let mut key = [0; 32];
    rng.fill_bytes(&mut key);
    let mut iv = [0; 16];
    rng.fill_bytes(&mut iv);
    let mut nonce = [0; 12];
    rng.fill_bytes(&mut nonce);
    let mut short = [0; 16];
    short.copy_from_slice(&key[..16]);
    let aes = if kind.aes_key_bytes() == Some(32) {
        AesKey::from(key)
    } else {
        AesKey::from(short)
    };
    let key = aes;
    match kind {
        OpKind::Sha256 => Op::Sha256,
        OpKind::Sha512 => Op::Sha512,
        OpKind::HmacSha256 => Op::HmacSha256 {
            key: Zeroizing::new(iv.to_vec()),
        },
        OpKind::Aes128Ctr | OpKind::Aes256Ctr => Op::Ctr { key, iv },
        OpKind::Aes128Gcm | OpKind::Aes256Gcm => Op::GcmSeal {
            key,
            nonce,
            aad: Vec::new(),
        },
        OpKind::Aes128Cbc | OpKind::Aes256Cbc => Op::CbcEncrypt {
            key,
            iv,
            padding: Padding::Pkcs7,
        },
        // Nop, and what this version does not know.
        _ => Op::Nop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_and_wrong_responses_are_told_apart_for_every_operation() {
        for kind in OpKind::ALL {
            let payload = Payload::random(kind, 100, 7).expect("software computes it");
            for n in [0, 63, 64, 1000] {
                let request = payload.request(n, n, payload.buffer());
                assert_eq!(request.op.kind(), kind);
                assert_eq!(request.data.len(), input_bytes(kind).unwrap_or(100));
                let mut response = compute(request).expect("software computes it");
                assert!(payload.is_right(n, &response), "{kind}");
                let middle = response.data.len() / 2;
                response.data[middle] ^= 1;
                assert!(!payload.is_right(n, &response), "{kind}");
                response.data[middle] ^= 1;
                if let Output::Digest { bytes, .. } = &mut response.output {
                    bytes[0] ^= 1;
                    assert!(!payload.is_right(n, &response), "{kind}");
                }
            }
        }
    }

    #[test]
    fn a_buffer_serves_all_operations() {
        for kind in OpKind::ALL {
            let payload = Payload::random(kind, 48, 7).expect("software computes it");
            let request = payload.request(0, 0, payload.buffer());
            let at = request.data.as_ptr();
            let response = compute(request).expect("software computes it");
            let request = payload.request(1, 1, response.data);
            assert_eq!(request.data.as_ptr(), at, "{kind}");
        }
    }

    #[test]
    fn pieces_of_a_file_are_bounded_and_spread() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        let pieces = 3 * FILE_INPUTS_MAX as u64;
        let bytes: Vec<u8> = (0..pieces).flat_map(u64::to_be_bytes).collect();
        std::fs::write(&path, &bytes).expect("written");
        let inputs = file_inputs(&path, 8).expect("read");
        assert_eq!(inputs.len(), FILE_INPUTS_MAX);
        assert_eq!(inputs[1], 3_u64.to_be_bytes());
        assert_eq!(inputs[4095], (3 * 4095_u64).to_be_bytes());

        std::fs::write(&path, b"abcdefgh").expect("written");
        let inputs = file_inputs(&path, 3).expect("read");
        assert_eq!(inputs, [b"abc", b"def", b"gha"]);
        assert_eq!(file_inputs(&path, 10).expect("read"), [b"abcdefghab"]);
        let endless = file_inputs(Path::new("/dev/zero"), 1 << 20).expect("read");
        assert_eq!(endless.len(), 64);
    }

    #[test]
    fn the_seed_decides() {
        let bytes = |seed| {
            let payload =
                Payload::random(OpKind::Aes256Ctr, 64, seed).expect("software computes it");
            compute(payload.request(3, 3, payload.buffer()))
                .expect("it does")
                .data
        };
        assert_eq!(*bytes(1), *bytes(1));
        assert_ne!(*bytes(1), *bytes(2));
    }
}
