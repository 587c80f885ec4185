"""Lightning modules, data modules and callbacks: the only floor below the roof that knows Lightning's loops."""
