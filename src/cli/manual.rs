//! `desist completions` and `desist man`: what shells and manuals are told of the command line.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

/// Print the script by which a shell completes commands.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist completions bash > /usr/share/bash-completion/completions/desist
  desist completions zsh > /usr/local/share/zsh/site-functions/_desist
  desist completions fish > ~/.config/fish/completions/desist.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints it.
    pub(super) fn run(&self, mut command: Command, out: &mut dyn Write) -> io::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "desist", &mut script);
        out.write_all(&script)
    }
}

/// Print the manual page, or write one of each command into a folder.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist man | man -l -
  desist man --folder /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// Where to: `desist.1`, `desist-check.1` and so on
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl ManArgs {
    /// Prints or writes.
    pub(super) fn run(&self, command: Command, out: &mut dyn Write) -> io::Result<()> {
        match &self.folder {
            None => out.write_all(&page(command)?),
            Some(folder) => clap_mangen::generate_to(command, folder).map_err(|error| {
                let folder = folder.display();
                let text = if error.kind() == io::ErrorKind::NotFound {
                    format!(
                        "no manual page was written: there is no folder {folder}, make it first"
                    )
                } else {
                    format!("the manual pages cannot be written into {folder}: {error}")
                };
                io::Error::new(error.kind(), text)
            }),
        }
    }
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}
