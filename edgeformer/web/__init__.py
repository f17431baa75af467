"""A bundle as a web page: ``export`` writes it, with the files of ``files``, which runtime/web/build.mjs makes."""
