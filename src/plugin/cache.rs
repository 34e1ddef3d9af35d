//! Compiled plugins kept between runs.
//!
//! Deserialising compiled code is as good as running it, so nothing is taken from
//! the cache unless a keyed hash over the very bytes that are then deserialised
//! says that this program wrote them, for this plugin, with this compiler. Any
//! doubt is a miss: the plugin is compiled again.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::compile::compile;
use wasmparser::Parser;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// Bytes of the key and of the hash in front of each entry.
const KEY: usize = 32;

/// The largest entry that is read at all.
const LARGEST: u64 = 512 << 20;

/// A compiled plugin.
#[derive(Debug)]
pub(super) enum Code {
    Component(Component),
    /// A command for WASI's preview 1.
    Module(Module),
}

/// What WebAssembly is compiled as.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Component,
    Module,
}

impl Form {
    pub(super) fn of(wasm: &[u8]) -> Form {
        match Parser::is_core_wasm(wasm) {
            true => Form::Module,
            // What is neither is refused as a component.
            false => Form::Component,
        }
    }
}

/// A directory with compiled code and the key that vouches for it.
#[derive(Clone, Debug)]
pub struct CodeCache {
    directory: PathBuf,
    key: [u8; KEY],
}

impl CodeCache {
    /// Opens the cache below the state directory, making it if needed.
    ///
    /// Refuses a directory that is a link, belongs to somebody else or can be
    /// written by others; whoever has no cache compiles every time.
    pub fn open(state: &Path) -> io::Result<CodeCache> {
        let directory = state.join("compiled");
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let found = fs::symlink_metadata(&directory)?;
        let ours = found.uid() == rustix::process::geteuid().as_raw();
        if !found.is_dir() || !ours || found.mode() & 0o077 != 0 {
            return Err(io::Error::other("it is not ours alone"));
        }
        let key = read_or_make_key(&state.join("compiled.key"))?;
        Ok(CodeCache { directory, key })
    }

    /// The compiled plugin, from here or from the compiler.
    pub(super) fn code(&self, engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Code> {
        let name = name(engine, wasm);
        if let Some(code) = self.fetch(engine, &name, Form::of(wasm)) {
            return Ok(code);
        }
        let code = compile(engine, wasm)?;
        // A cache that cannot be written costs time, not correctness.
        if let Err(error) = self.keep(&name, &code) {
            tracing::warn!(%error, "compiled plugin not kept");
        }
        from_code(engine, &code, Form::of(wasm))
    }

    fn fetch(&self, engine: &Engine, name: &str, form: Form) -> Option<Code> {
        let mut entry = Vec::new();
        let file = open_plain(&self.directory.join(name)).ok()?;
        file.take(LARGEST).read_to_end(&mut entry).ok()?;
        let (mac, code) = entry.split_at_checked(KEY)?;
        // blake3's comparison takes the same time wherever they differ.
        if blake3::Hash::from_slice(mac).ok()? != self.mac(name, code) {
            tracing::warn!(name, "compiled plugin altered or damaged; compiling again");
            return None;
        }
        // The keyed hash shows that this program compiled these bytes, and covers exactly
        // those that are passed on.
        from_code(engine, code, form).ok()
    }

    fn keep(&self, name: &str, code: &[u8]) -> io::Result<()> {
        let draft = self
            .directory
            .join(format!("{name}.{}", std::process::id()));
        let _ = fs::remove_file(&draft);
        let mut file = create_private(&draft)?;
        file.write_all(self.mac(name, code).as_bytes())?;
        file.write_all(code)?;
        fs::rename(&draft, self.directory.join(name))
    }

    fn mac(&self, name: &str, code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(name.as_bytes());
        hasher.update(code);
        hasher.finalize()
    }
}

/// Compiles without keeping the result.
pub(super) fn uncached(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Code> {
    from_code(engine, &compile(engine, wasm)?, Form::of(wasm))
}

fn from_code(engine: &Engine, code: &[u8], form: Form) -> wasmtime::Result<Code> {
    #[expect(unsafe_code, reason = "both callers know that we compiled these bytes")]
    // SAFETY: `code` is what this program's compiler gave, in this process, in a child of
    // the same executable, or earlier with a keyed hash to vouch for it.
    unsafe {
        match form {
            Form::Component => Component::deserialize(engine, code).map(Code::Component),
            Form::Module => Module::deserialize(engine, code).map(Code::Module),
        }
    }
}

/// What an entry is called: the plugin, the compiler and this version.
fn name(engine: &Engine, wasm: &[u8]) -> String {
    let mut hasher = Blake3Hasher(blake3::Hasher::new());
    hasher.write(env!("CARGO_PKG_VERSION").as_bytes());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.write(blake3::hash(wasm).as_bytes());
    hasher.0.finalize().to_hex().to_string()
}

/// All of BLAKE3 behind the standard library's trait, which would cut it to 64 bits.
struct Blake3Hasher(blake3::Hasher);

impl Hasher for Blake3Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let bytes = self.0.finalize();
        bytes
            .as_bytes()
            .iter()
            .take(8)
            .fold(0, |n, &b| n << 8 | u64::from(b))
    }
}

fn read_or_make_key(path: &Path) -> io::Result<[u8; KEY]> {
    let mut key = [0; KEY];
    match open_plain(path) {
        Ok(mut file) => {
            let found = file.metadata()?;
            let ours = found.uid() == rustix::process::geteuid().as_raw();
            if !ours || found.mode() & 0o077 != 0 {
                return Err(io::Error::other("its key is not ours alone"));
            }
            file.read_exact(&mut key)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            let draft = path.with_extension(format!("key.{}", std::process::id()));
            let _ = fs::remove_file(&draft);
            create_private(&draft)?.write_all(&key)?;
            // The first of two processes wins, the other reads its key.
            let linked = fs::hard_link(&draft, path);
            fs::remove_file(&draft)?;
            match linked {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return read_or_make_key(path);
                }
                Err(error) => return Err(error),
            }
        }
        Err(error) => return Err(error),
    }
    Ok(key)
}

fn open_plain(path: &Path) -> io::Result<fs::File> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    fs::OpenOptions::new()
        .read(true)
        .custom_flags(nofollow)
        .open(path)
}

fn create_private(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(cache: &CodeCache) -> Vec<PathBuf> {
        let entries = fs::read_dir(&cache.directory).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn code_that_somebody_touched_is_never_run() {
        let state = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(state.path()).unwrap();
        let engine = Engine::default();
        let wasm = wat::parse_str("(component)").unwrap();
        cache.code(&engine, &wasm).unwrap();
        let name = name(&engine, &wasm);
        assert!(cache.fetch(&engine, &name, Form::Component).is_some());
        let [entry] = entries(&cache).try_into().unwrap();
        let good = fs::read(&entry).unwrap();

        for at in [0, KEY, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&entry, &bad).unwrap();
            assert!(
                cache.fetch(&engine, &name, Form::Component).is_none(),
                "byte {at}"
            );
        }
        fs::write(&entry, &good[..10]).unwrap();
        assert!(cache.fetch(&engine, &name, Form::Component).is_none());
        // Good code under another plugin's name is not that plugin.
        fs::write(cache.directory.join("other"), &good).unwrap();
        assert!(cache.fetch(&engine, "other", Form::Component).is_none());
        cache.code(&engine, &wasm).unwrap();
        assert!(cache.fetch(&engine, &name, Form::Component).is_some());
    }

    #[test]
    fn a_directory_others_can_write_is_no_cache() {
        use std::os::unix::fs::PermissionsExt;
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("compiled");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(CodeCache::open(state.path()).is_err());
        fs::remove_dir(&directory).unwrap();
        std::os::unix::fs::symlink("/tmp", &directory).unwrap();
        assert!(CodeCache::open(state.path()).is_err());
    }

    #[test]
    fn two_openings_share_one_key() {
        let state = tempfile::tempdir().unwrap();
        let [one, two] = [0, 1].map(|_| CodeCache::open(state.path()).unwrap());
        assert_eq!(one.key, two.key);
    }
}
