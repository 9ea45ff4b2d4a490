// Activations as the digits of their magnitudes: of each lane {sign (SIGNED), ones}, or (NAF) the signed digits of the non-adjacent
// form, {which are negative, which are there}.
module digits_unit #(parameter LANES = 16, SIGNED = 0, NAF = 0, LANE = NAF ? 18 : 8 + SIGNED) (
    input [8*LANES-1:0] x,
    output [LANE*LANES-1:0] a
);
    genvar k;
    generate
        for (k = 0; k < LANES; k = k + 1) begin : lane
            wire [7:0] activation = x[8*k+:8];
            wire sign = (SIGNED != 0) & activation[7];
            wire [7:0] magnitude = sign ? -activation : activation;
            if (NAF != 0) begin : signed_digits
                // 3m - m = 2m: where 3m has a one and m has none, 2m has the digit 1; the other way round, -1.
                wire [9:0] once = magnitude, thrice = once + {once[8:0], 1'b0};
                wire [9:0] ones = thrice & ~once, minus_ones = once & ~thrice;
                assign a[LANE*k+:LANE] = {sign ? ones[9:1] : minus_ones[9:1], ones[9:1] | minus_ones[9:1]};
            end else if (SIGNED != 0) begin : sign_and_magnitude
                assign a[LANE*k+:LANE] = {sign, magnitude};
            end else begin : ones
                assign a[LANE*k+:LANE] = magnitude;
            end
        end
    endgenerate
endmodule
