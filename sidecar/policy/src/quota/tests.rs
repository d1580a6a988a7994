mod forgotten;
mod promise;
mod starving;
mod world;
mod zombie;
