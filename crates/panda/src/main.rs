//! The panda binary: see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A strategy that panics is caught, disabled and reported; one line says where it happened.
    std::panic::set_hook(Box::new(|info| {
        panda::logging::last_words(format!("a component failed: {info}"));
    }));
    match panda::cli::run() {
        Ok(()) => ExitCode::from(panda::exit::OK),
        Err(error) => {
            if !panda::exit::is_logged(&error) {
                let said = settings::secret::clean(settings::errors::message(&error));
                eprintln!("error: {said}");
            }
            ExitCode::from(panda::exit::code(&error))
        }
    }
}
