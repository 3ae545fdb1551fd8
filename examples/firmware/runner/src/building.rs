//! Builds what was not given.

use anyhow::{Context, Result, ensure};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where everything is.
pub struct Building {
    /// The firmware's crate.
    root: PathBuf,
}

impl Building {
    pub fn new() -> Self {
        let runner = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self { root: runner.parent().unwrap_or(runner).into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The image for a target.
    pub fn firmware(&self, target: &str) -> Result<PathBuf> {
        build(&self.root, &["--release", "--target", target])?;
        Ok(directory(&self.root).join(target).join("release/firmware"))
    }

    /// An example of the library.
    pub fn example(&self, name: &str) -> Result<PathBuf> {
        let library = self.root.join("../..");
        build(&library, &["--example", name])?;
        Ok(directory(&library).join("debug/examples").join(name))
    }
}

fn build(dir: &Path, arguments: &[&str]) -> Result<()> {
    // There, so that the configuration there counts.
    let status = Command::new("cargo").arg("build").args(arguments).current_dir(dir).status();
    let status = status.context("cannot start cargo")?;
    ensure!(status.success(), "cargo build {} failed in {}", arguments.join(" "), dir.display());
    Ok(())
}

fn directory(dir: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| dir.join("target"), |target| env::current_dir().unwrap_or_default().join(target))
}
