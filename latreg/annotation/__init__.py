"""People as the judge: a study of pictures that they name blind, on a page that this machine serves to itself."""
