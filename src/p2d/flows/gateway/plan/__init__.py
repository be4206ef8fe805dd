"""Plan a bulk run: sample patients, predict images, volume, hours and load of every approach."""
