"""What runs on `python -m pullplan`?"""

from pullplan.cli import main

if __name__ == "__main__":
    main(prog_name="pullplan")
