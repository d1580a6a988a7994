mod promise;
mod world;
mod zombie;
