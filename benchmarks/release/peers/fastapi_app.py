"""FastAPI around scikit-learn's predict, as its documentation shows it."""

import uvicorn
from fastapi import FastAPI
from model import fitted, port
from pydantic import BaseModel

app, model = FastAPI(), fitted()


class Asked(BaseModel):
    """A request."""

    rows: list[list[float]]


@app.post("/predict")
async def predict(asked: Asked):
    return {"predictions": model.predict(asked.rows).tolist()}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=port(), http="httptools", loop="uvloop",
                access_log=False, log_level="warning")  # fmt: skip
