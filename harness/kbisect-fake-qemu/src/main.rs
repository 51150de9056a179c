//! The stand-in's program; see the library.

use std::process::ExitCode;

use kbisect_fake_qemu::args::{Asked, parse};
use kbisect_fake_qemu::play::Player;
use kbisect_fake_qemu::script::Script;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match start(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kbisect-fake-qemu: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &[String]) -> Result<ExitCode, String> {
    let machine = match parse(arguments)? {
        Asked::Version => {
            println!("QEMU emulator version 10.0.2 (stand-in for tests)");
            return Ok(ExitCode::SUCCESS);
        }
        Asked::Machine(machine) => machine,
    };
    if machine.probe {
        // What `isa-debug-exit` makes of the byte that the probe's guest writes.
        let proof = ExitCode::from(0x2a << 1 | 1);
        return if machine.kvm { Err("the stand-in has no KVM".to_owned()) } else { Ok(proof) };
    }
    let image = std::fs::read(&machine.kernel)
        .map_err(|error| format!("cannot read {}: {error}", machine.kernel.display()))?;
    let script = Script::of_image(&image)?;
    Player::new(&machine, script)?.run()
}
