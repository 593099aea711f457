//! What packages of refcow hold beside it: `refcow man` and `refcow completions`.

use clap::{Args, Command};
use clap_complete::Shell;

use super::error::CommandError;

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Which command's
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

impl ManArgs {
    /// Prints a page for the program, or for one command.
    pub fn run(&self, mut program: Command) -> Result<Vec<u8>, CommandError> {
        program.build();
        let command = match &self.command {
            None => program,
            Some(name) => match program.find_subcommand(name) {
                Some(command) => command.clone(),
                None => return Err(CommandError::NoSuchCommand(name.clone())),
            },
        };
        let mut text = Vec::new();
        // Writing to memory does not fail.
        let _ = clap_mangen::Man::new(command).render(&mut text);
        Ok(text)
    }
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

impl CompletionsArgs {
    pub fn run(&self, mut program: Command) -> Vec<u8> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut program, "refcow", &mut text);
        text
    }
}
