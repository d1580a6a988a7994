mod promise;
mod world;
