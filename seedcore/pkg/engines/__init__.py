"""What evaluates policy: three engines behind one interface, see `seedcore.pkg.engines.port`."""
