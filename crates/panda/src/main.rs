//! The panda binary: see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A strategy that panics is caught, disabled and reported; one line says where it happened.
    std::panic::set_hook(Box::new(|info| {
        let said = panda::logging::clean(format!("error: a component failed: {info}"));
        eprintln!("{said}");
    }));
    match panda::cli::run() {
        Ok(()) => ExitCode::from(panda::exit::OK),
        Err(error) => {
            let said = panda::logging::clean(panda::cli::message(&error));
            eprintln!("error: {said}");
            ExitCode::from(panda::exit::code(&error))
        }
    }
}
