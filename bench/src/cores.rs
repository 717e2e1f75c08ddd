//! Which core the server has, and which the generator: never the same one.

use clap::Args;

use crate::failure::Failure;

/// Who runs where.
#[derive(Args, Debug)]
#[group(id = "cores")]
pub(crate) struct Cores {
    /// Core of the server
    #[arg(long, global = true, default_value_t = 0)]
    pub(crate) server_core: usize,
    /// Core of the generator
    #[arg(long, global = true, default_value_t = 1)]
    pub(crate) client_core: usize,
}

impl Cores {
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let there: Vec<_> =
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
        match [self.server_core, self.client_core].iter().find(|core| !there.contains(core)) {
            Some(core) => Err(Failure::setup(format!("core {core} is not there; these are: {there:?}"))),
            None if self.server_core == self.client_core => Err(Failure::setup(
                "server and generator need a core each: see --server-core and --client-core",
            )),
            None => Ok(()),
        }
    }
}
