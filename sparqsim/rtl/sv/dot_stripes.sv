// Weights of the lanes whose activation has a one at the cycle's position, added and shifted there: the lowest position in a step's
// first cycle, the next one in every further cycle, up to the position that comes with the activations.
module dot_stripes #(parameter LANES = 16, SIGNED = 0) (
    input [8*LANES+2:0] a,  // {last position, activations}
    input [8*LANES-1:0] w,
    input [3:0] now,        // {position, not the first cycle}
    output [3:0] next,      // {the next cycle's position, there is one}
    output signed [`VALUE-1:0] value
);
    wire [2:0] last = a[8*LANES+:3];
    wire [2:0] place = now[0] ? now[3:1] : 3'd0;
    wire more = place != last;
    assign next = {place + 3'd1, more};

    genvar k;
    generate
        for (k = 0; k < LANES; k = k + 1) begin : lane
            wire [7:0] activation = a[8*k+:8];
            wire signed [7:0] weight = w[8*k+:8];
            wire signed [`VALUE-1:0] term = activation[place] ? weight : 8'sd0;
            wire signed [`VALUE-1:0] sum;
            if (k == 0) begin : one
                assign sum = term;
            end else begin : further
                assign sum = lane[k-1].sum + term;
            end
        end
    endgenerate

    // Two's complement: the highest bit counts negative.
    wire negative = (SIGNED != 0) & ~more;
    assign value = (negative ? -lane[LANES-1].sum : lane[LANES-1].sum) <<< place;
endmodule
