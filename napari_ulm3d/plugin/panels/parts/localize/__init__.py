"""Parts of the *Localize & track* widget: method, workers, progress, relinking."""
