//! A job asks another thread for something, pauses, and is resumed when the answer is there.

use std::{error::Error, sync::mpsc, thread};

use async_core::{JobOutcome, current_job, pause_job, start_job};
use waitctx::{ReadyQueue, Status, WaitCtx};

fn main() -> Result<(), Box<dyn Error>> {
    let (ready, ctx) = (ReadyQueue::new(), WaitCtx::new());
    ready.attach(&ctx, 0);
    let mut outcome = start_job(&ctx, || {
        let notifier = current_job().expect("in a job").wait_ctx().notifier()?;
        let (send, answer) = mpsc::channel();
        let engine = thread::spawn(move || {
            send.send(6 * 7).expect("the job waits");
            notifier.notify(Status::Ok)
        });
        while pause_job().is_ok() {
            if let Ok(answer) = answer.try_recv() {
                engine.join().expect("the engine does not panic")?;
                return Ok(answer);
            }
        }
        Err(Box::<dyn Error>::from("cancelled"))
    })?;
    while let JobOutcome::Paused(job) = outcome {
        ready.wait(&mut Vec::new(), None)?; // other jobs could run meanwhile
        outcome = job.resume();
    }
    println!("{}", outcome.finished().expect("it has finished")?);
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
